"""Vectors of values as signs or levels, and how these are packed."""

import numpy as np

from tfq.runtime.compiled.vector import (
    any_common,
    as_ints,
    at_least,
    fill_floats,
    fill_ints,
    larger,
    signs,
    smaller,
    store_bytes,
    store_half,
    to_ints,
)
from tfq.runtime.jit import inlined
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import SIGN

# Adding and subtracting it rounds to an integer, ties to even, where |x| < 2^22: no call of a library, on no processor.
_ROUNDER = np.float32(1.5 * 2**23)


@inlined
def _rounded(x, bits):
    """Whole numbers 0 ... 2^bits - 1, and _ROUNDER more; NaN gives the lowest."""
    n = fill_floats(np.float32((1 << bits) - 1))
    # The product first: a limit before it would be computed as a choice between two products.
    return smaller(larger(n * x, fill_floats(np.float32(0.0))), n) + fill_floats(_ROUNDER)


@inlined
def levels(x, bits):
    """Whole numbers 0 ... 2^bits - 1; NaN gives 0."""
    return _rounded(x, bits) - fill_floats(_ROUNDER)


@inlined
def level_bits(x, bits):
    """`levels` of at most 8 bits, as the lowest byte of int32."""
    return as_ints(_rounded(x, bits))


@inlined
def quantized(x, quantizer):
    """Signs, or levels as whole numbers."""
    return signs(x) if quantizer == SIGN else levels(x, quantizer)


# Ways to write 16 values. `half` is a half word, `plane` the distance of planes; lanes that are not `valid` give 0 bits.


@inlined
def put_signs(mi, half, plane, x, quantizer, valid):
    """Write the signs of 16 values to the half word `half`."""
    store_half(mi, half, at_least(x, fill_floats(np.float32(0.0))) & valid)


@inlined
def put_planes(mi, half, plane, x, quantizer, valid):
    """Write the levels of 16 values to the half word `half` of each plane."""
    level = to_ints(levels(x, quantizer))
    if quantizer == 2:  # the usual number, without a loop
        store_half(mi, half, any_common(level, fill_ints(np.int32(1))) & valid)
        store_half(mi, half + 2 * plane, any_common(level, fill_ints(np.int32(2))) & valid)
        return
    for bit in range(quantizer):
        store_half(mi, half + 2 * plane * bit, any_common(level, fill_ints(np.int32(1 << bit))) & valid)


@inlined
def put_bytes(mi, half, plane, x, quantizer, valid):
    """Write the levels of 16 values as bytes, from the half word `half` on."""
    store_bytes(mi, half, to_ints(levels(x, quantizer)))


# Half words that 16 values take, by the way to write them.
HALVES_OF_BITS, HALVES_OF_BYTES = 1, 8


@inlined
def clear_half(mi, half, plane, quantizer):
    """Write 0 to a half word of each plane."""
    for bit in range(max(quantizer, 1)):
        store_half(mi, half + 2 * plane * bit, np.uint32(0))


@inlined
def valid_lanes(vector, channels):
    """16 bits: which lanes of a vector of channels are there."""
    rest = channels - vector * LANES
    return np.uint32(0xFFFF) if rest >= LANES else np.uint32((1 << rest) - 1)
