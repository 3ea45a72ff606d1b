"""Each quantizer of tfq, some in several configurations."""

from tfq.quantizers import (
    ClippedGradient,
    DoReFaGradients,
    DoReFaInputs,
    DoReFaWeights,
    LSQInputs,
    LSQWeights,
    PaperGradient,
    TernaryWeights,
    XnorInputs,
    XnorWeights,
)

ALL = [
    XnorWeights(),
    XnorWeights(gradient=PaperGradient(), center=True),
    XnorWeights(gradient=ClippedGradient(), clip=True),
    XnorInputs(),
    TernaryWeights(),
    TernaryWeights(per_filter=True),
    *[DoReFaWeights(bits) for bits in (1, 3, 32)],
    *[DoReFaInputs(bits) for bits in (1, 3, 32)],
    *[DoReFaGradients(bits, seed=1) for bits in (4, 32)],
    *[LSQWeights(bits) for bits in (2, 4, 32)],
    *[LSQInputs(bits) for bits in (1, 2, 32)],
]
