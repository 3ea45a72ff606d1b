"""Whether the values of a quantizer are still apart when they are rounded to half precision."""

import functools
from typing import Any

import numpy as np

from tfq.quantizers.grids import Grid, Integers, Levels

# Significant bits, the leading one among them.
_SIGNIFICANT = {"bfloat16": 8, "float16": 11}


def fits(grid: Grid | None, dtype: str) -> bool:
    """Whether `dtype` holds the values of a grid apart, whatever the step or scale that they are multiplied by.

    An integer times a step lies within a part 2^(p-1) of a power of two with p significant bits, so integers up to 2^(p-1) stay
    apart. Levels have no step and are rounded one by one.

    Args:
        grid: of a quantizer; of None nothing is known, and nothing said.
        dtype: name of a dtype; any that is not half precision holds all.
    """
    bits = _SIGNIFICANT.get(dtype)
    if bits is None:
        return True
    if isinstance(grid, Integers):
        return max(abs(grid.low), abs(grid.high)) <= 2 ** (bits - 1)
    return _levels_fit(grid, bits) if isinstance(grid, Levels) else True


def check_fits(quantizer: Any, dtype: str, layer: str, argument: str) -> None:
    """Raise ValueError if the values of a quantizer are not apart in the dtype that its layer computes in.

    Args:
        quantizer: a quantizer, another callable, or None.
        dtype: of the layer.
        layer: its name.
        argument: name of the argument that the quantizer came by.

    Raises:
        ValueError: see there.
    """
    if not getattr(quantizer, "fits", lambda _: True)(dtype):
        raise ValueError(
            f"layer {layer!r}: {dtype} does not hold the levels of {argument}={quantizer!r} apart; expected fewer bits, or "
            "dtype='float32' for this layer"
        )


@functools.cache
def _levels_fit(grid, bits):
    values = grid.values(np.arange(2**grid.bits))
    mantissa, exponent = np.frexp(values)
    return len(np.unique(np.ldexp(np.rint(mantissa * 2.0**bits), exponent - bits))) == len(values)
