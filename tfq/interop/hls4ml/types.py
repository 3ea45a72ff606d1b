"""Types of hls4ml for whole numbers and for scales."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfq.graph import nodes as g
from tfq.optional import require

_types, _quantizers = (require(f"hls4ml.model.{name}") for name in ("types", "quantizers"))
# What a multiplier of an FPGA takes.
_SCALE_BITS = 18


class Whole(_quantizers.Quantizer):  # type: ignore[name-defined]
    """Weights that are whole numbers already, of so many bits."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits, _types.IntegerPrecisionType(width=bits, signed=True))

    def __call__(self, data: np.ndarray) -> np.ndarray:
        """As they are."""
        return data


def of_kernel(w: np.ndarray) -> Whole:
    """The quantizer of whole numbers in two's complement."""
    lowest, highest = int(w.min()), int(w.max())
    return Whole(max((-lowest - 1).bit_length() if lowest < 0 else 0, highest.bit_length() if highest > 0 else 0) + 1)


def of_inputs(quantizer: g.Sign | g.Levels) -> Any:
    """The type of quantized inputs: -1 and 1; or 0 ... n, to which what comes is rounded, ties to even, and held."""
    if isinstance(quantizer, g.Sign):
        # Two bits: a margin of zeros is then what it is.
        precision = _types.IntegerPrecisionType(width=2, signed=True)
    else:
        bits, modes = quantizer.bits, (_types.RoundingMode.RND_CONV, _types.SaturationMode.SAT)
        precision = _types.FixedPrecisionType(bits, bits, False, *modes)
    precision.hls_type = precision  # hls4ml reads it of all that is called a quantizer
    return precision


def of_scale(values: np.ndarray) -> Any:
    """A type of few bits that holds the largest value."""
    largest = float(np.abs(values).max(initial=0)) or 1.0
    integer = int(np.floor(np.log2(largest))) + 2
    return _types.FixedPrecisionType(_SCALE_BITS, integer, True, _types.RoundingMode.RND, _types.SaturationMode.SAT)
