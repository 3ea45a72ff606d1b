"""A graph, taken apart for a program."""

from dataclasses import dataclass, field

from tfq.graph import nodes as g


@dataclass(frozen=True)
class PackedTensor:
    """A tensor, quantized and packed: that of sign or levels of `source`, or of scale * source + shift.

    Attributes:
        source: name of the tensor.
        affine: name of the `ScaleShift` between, or None.
        quantizer: `Sign` or `Levels`.
        bytes: whether a level is a byte, and not a bit in each of some planes.
        fill: the bits of its margin; 1 is the highest level.
    """

    source: str
    affine: str | None
    quantizer: g.Sign | g.Levels
    bytes: bool
    fill: int


@dataclass
class Fused:
    """A convolution or product, what follows it in the same step, and the name of the tensor that comes out."""

    node: g.Conv2D | g.Dense
    result: str
    affine: g.ScaleShift | None = None
    clamp: tuple[float, float] | None = None
    residual: str | None = None
    chain: tuple | None = None  # with it, bits come out: the sign of chain(result)
    packed: PackedTensor | None = None  # from the result in passing


@dataclass
class Plan:
    """A graph, taken apart.

    Attributes:
        nodes: those whose results matter, on images; see `plan.images`.
        shapes: of all tensors.
        origins: name of the operation in the graph, by the name of a part of it.
        fused: `Fused` by the name of the convolution or product.
        inside: names of the operations that are part of a `Fused`.
        packed: the `PackedTensor` that a convolution of integers reads, by its name.
        margins: (top, left, bottom, right) of each `PackedTensor`.
        needed: names of the tensors that are wanted in float32.
        activated: the `ScaleShift` that is computed together with an activation, by the name of that.
    """

    nodes: tuple
    shapes: dict[str, tuple[int, ...]]
    origins: dict[str, str] = field(default_factory=dict)
    fused: dict[str, Fused] = field(default_factory=dict)
    inside: set[str] = field(default_factory=set)
    packed: dict[str, PackedTensor] = field(default_factory=dict)
    margins: dict[PackedTensor, tuple[int, int, int, int]] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    activated: dict[str, g.ScaleShift] = field(default_factory=dict)
