"""Kernels as whole numbers, and as words in the order in which the compiled loops read them."""

import numpy as np

from tfq.graph import kernels
from tfq.graph import nodes as g
from tfq.graph.kernels import denominator
from tfq.runtime.lanes import LANES

WORD = 32


def signs(kernel):
    """A `PackedKernel` as a sum of `kernels.Signs`, (taps, in, out) each."""
    channels, filters = kernel.shape[-2:]
    return [
        kernels.Signs(weight, *(None if bits is None else bits.reshape(-1, channels, filters) for bits in (positive, nonzero)))  # type: ignore[arg-type]
        for weight, positive, nonzero in kernels.signs(kernel)
    ]


def integers(kernel):
    """The whole numbers w of a `PackedKernel`, int64 (taps, in, out): its values are scale * w / `denominator(kernel)`."""
    return kernels.integers(kernel).reshape(-1, *kernel.shape[-2:])


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


def signed_halves(values):
    """Whole numbers (taps, in, out) of 16 bits as int32 words (out, words), two input channels each; of each tap by itself."""
    values = np.pad(values, [(0, 0), (0, -values.shape[1] % 2), (0, 0)]).astype(np.int16)
    return np.ascontiguousarray(values.transpose(2, 0, 1)).reshape(values.shape[2], -1).view("<i4")


def interleave(rows):
    """(out, words) as (vectors, words, 16), filters innermost; filters that are not there are 0."""
    rows = np.pad(rows, [(0, -rows.shape[0] % LANES), (0, 0)])
    return np.ascontiguousarray(rows.reshape(-1, LANES, rows.shape[1]).transpose(0, 2, 1))
