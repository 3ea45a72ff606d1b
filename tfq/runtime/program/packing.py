"""Kernels as whole numbers, and as words in the order in which the compiled loops read them."""

from typing import NamedTuple

import numpy as np

from tfq.graph import nodes as g
from tfq.runtime.lanes import LANES

WORD = 32


class Signs(NamedTuple):
    """One plane of a kernel: it adds weight * sign where `nonzero`, (taps, in, out) each.

    Attributes:
        weight: power of two.
        positive: whether the sign is +1.
        nonzero: None where all are.
    """

    weight: int
    positive: np.ndarray
    nonzero: np.ndarray | None


def planes(kernel):
    """Bits of a `PackedKernel`, bool: (planes, taps, in, out)."""
    *spatial, channels, filters = kernel.shape
    taps = int(np.prod(spatial, dtype=np.int64))
    bits = np.unpackbits(kernel.planes, axis=1, count=taps * channels * filters, bitorder="little")
    return bits.reshape(-1, filters, taps, channels).transpose(0, 2, 3, 1).astype(bool)


def signs(kernel):
    """A `PackedKernel` as a sum of `Signs`."""
    bits = planes(kernel)
    if kernel.coding == "ternary":
        return [Signs(1, bits[1] & bits[0], bits[0])]
    return [Signs(1 << i, plane, None) for i, plane in enumerate(bits)]


def integers(kernel):
    """The whole numbers w of a `PackedKernel`, int64 (taps, in, out): its values are scale * w / `denominator(kernel)`."""
    total = 0
    for plane in signs(kernel):
        values = np.where(plane.positive, plane.weight, -plane.weight)
        total = total + (values if plane.nonzero is None else values * plane.nonzero)
    return total


def denominator(kernel):
    """See `integers`."""
    return 2**kernel.bits - 1 if kernel.coding == "levels" else 1


def real(kernel):
    """Any kernel as float32 numbers (taps, in, out) and the scale (out,) or (1,) that multiplies them."""
    if isinstance(kernel, g.FloatKernel):
        values = np.asarray(kernel.values, np.float32)
        return values.reshape(-1, *values.shape[-2:]), np.ones(1, np.float32)
    return integers(kernel).astype(np.float32), kernel.scale / np.float32(denominator(kernel))


def words(bits, dense):
    """Bits (taps, in, out) as int32 words (out, words): of each tap by itself, or, with `dense`, of the whole window."""
    taps, channels, filters = bits.shape
    rows = bits.transpose(2, 0, 1).reshape((filters, 1, taps * channels) if dense else (filters, taps, channels))
    rows = np.pad(rows, [(0, 0), (0, 0), (0, -rows.shape[2] % WORD)])
    return np.packbits(rows, axis=2, bitorder="little").reshape(filters, -1).view("<i4")


def signed_bytes(values):
    """Whole numbers (taps, in, out) of 8 bits as int32 words (out, words), four input channels each; of each tap by itself."""
    values = np.pad(values, [(0, 0), (0, -values.shape[1] % 4), (0, 0)]).astype(np.int8)
    return np.ascontiguousarray(values.transpose(2, 0, 1)).reshape(values.shape[2], -1).view("<i4")


def interleave(rows):
    """(out, words) as (vectors, words, 16), filters innermost; filters that are not there are 0."""
    rows = np.pad(rows, [(0, -rows.shape[0] % LANES), (0, 0)])
    return np.ascontiguousarray(rows.reshape(-1, LANES, rows.shape[1]).transpose(0, 2, 1))
