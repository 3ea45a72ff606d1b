"""What is folded into a convolution: from its sums to its results, 16 filters at a time.

`sums` is where the sums of a vector of filters begin, `apart` the distance from one window to the next.
"""

import numpy as np

from tfq.runtime.compiled.quantize import (
    HALVES_OF_BITS,
    HALVES_OF_BYTES,
    clear_half,
    put_bytes,
    put_planes,
    put_signs,
    valid_lanes,
)
from tfq.runtime.compiled.vector import (
    at_least,
    fill_floats,
    fill_ints,
    larger,
    load_floats,
    load_ints,
    smaller,
    store_floats,
    store_half,
    store_ints,
    to_floats,
)
from tfq.runtime.jit import njit
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import NO_PLANES, SIGN


@njit
def add_window_sums(step, mi, first, last, sums, apart):
    """Sums + sums of the windows, in their place, of windows `first` to `last`: where bytes need the sum of their inputs."""
    of_windows = step.window_sums
    for position in range(first, last):
        store_ints(mi, sums, load_ints(mi, sums) + fill_ints(np.int32(mi[of_windows + position])))
        sums += apart


@njit
def threshold(step, ci, mi, top, bottom, vector, sums, apart):
    """bits = (a >= threshold) ^ flip, of 16 filters and the windows of some rows."""
    width, vectors, filters = step.width, step.vectors, step.filters
    base, row_kinds, column_kinds, kinds = step.base, step.row_kinds, step.column_kinds, step.kinds
    packed, packed_row, packed_words = step.packed, step.packed_row, step.packed_words
    limit = load_ints(ci, step.thresholds + vector * LANES)
    flip, valid = np.uint32(ci[step.flips + vector]), valid_lanes(vector, filters)
    clear = vector == vectors - 1 and vectors % 2 == 1
    for y in range(top, bottom):
        first = base + (ci[row_kinds + y] * kinds * vectors + vector) * LANES
        half = 2 * (packed + y * packed_row) + vector
        for x in range(width):
            a = load_ints(ci, first + ci[column_kinds + x] * vectors * LANES) - load_ints(mi, sums)
            store_half(mi, half, (at_least(a, limit) ^ flip) & valid)
            if clear:
                store_half(mi, half + 1, np.uint32(0))
            half += 2 * packed_words
            sums += apart


@njit
def to_float_accumulator(step, ci, mi, mf, top, bottom, vector, sums, apart):
    """The integer accumulator a = base - sums as float32, in place of the sums."""
    width, vectors = step.width, step.vectors
    base, row_kinds, column_kinds, kinds = step.base, step.row_kinds, step.column_kinds, step.kinds
    for y in range(top, bottom):
        first = base + (ci[row_kinds + y] * kinds * vectors + vector) * LANES
        for x in range(width):
            a = load_ints(ci, first + ci[column_kinds + x] * vectors * LANES) - load_ints(mi, sums)
            store_floats(mf, sums, to_floats(a))
            sums += apart


@njit
def finish(step, cf, mf, first, last, vector, sums, apart):
    """clamp((a scale [K] + bias) [affine_scale + affine_shift]) [+ residual], of windows `first` to `last`.

    In place of the sums, and to the tensor where there is one.
    """
    input_scale, affine, clamp, residual = step.input_scale, step.affine_scale, step.clamp, step.residual
    target, channels = step.target, step.channels
    channel = vector * LANES
    scale, bias = load_floats(cf, step.scale + channel), load_floats(cf, step.bias + channel)
    scale_2, shift_2 = fill_floats(np.float32(1.0)), fill_floats(np.float32(0.0))
    low, high = fill_floats(np.float32(-np.inf)), fill_floats(np.float32(np.inf))
    if affine >= 0:
        scale_2, shift_2 = load_floats(cf, affine + channel), load_floats(cf, step.affine_shift + channel)
    if clamp >= 0:
        low, high = fill_floats(cf[clamp]), fill_floats(cf[clamp + 1])
    rest = step.filters - channel
    for position in range(first, last):
        output = position * channels + channel
        value = load_floats(mf, sums) * scale
        if input_scale >= 0:
            value = value * fill_floats(mf[input_scale + position])
        value = smaller(high, larger(low, (value + bias) * scale_2 + shift_2))
        if residual >= 0:
            value = value + load_floats(mf, residual + output)
        store_floats(mf, sums, value)
        if target >= 0 and rest >= LANES:
            store_floats(mf, target + output, value)
        elif target >= 0:
            for lane in range(rest):
                mf[target + output + lane] = mf[sums + lane]
        sums += apart


def _writer(put, halves):
    """`pack_results` for one way to write 16 values: a choice within its loop would cost a third of it."""

    @njit
    def write(step, cf, mi, mf, top, bottom, vector, sums, apart):
        width, vectors, plane, quantizer = step.width, step.vectors, step.packed_plane, step.quantizer
        packed, packed_row, packed_words, scale_at = step.packed, step.packed_row, step.packed_words, step.packed_scale
        valid = valid_lanes(vector, step.filters)
        clear = halves == 1 and vector == vectors - 1 and vectors % 2 == 1
        scale, shift = fill_floats(np.float32(1.0)), fill_floats(np.float32(0.0))
        if scale_at >= 0:
            scale, shift = load_floats(cf, scale_at + vector * LANES), load_floats(cf, step.packed_shift + vector * LANES)
        for y in range(top, bottom):
            half = 2 * (packed + y * packed_row) + vector * halves
            for _ in range(width):
                put(mi, half, plane, load_floats(mf, sums) * scale + shift, quantizer, valid)
                if clear:
                    clear_half(mi, half + 1, plane, quantizer)
                half += 2 * packed_words
                sums += apart

    return write


_write_signs, _write_planes = _writer(put_signs, HALVES_OF_BITS), _writer(put_planes, HALVES_OF_BITS)
_write_bytes = _writer(put_bytes, HALVES_OF_BYTES)


@njit
def pack_results(step, cf, mi, mf, top, bottom, vector, sums, apart):
    """quantizer(value [packed_scale + packed_shift]), as bits or bytes."""
    if step.quantizer == SIGN:
        _write_signs(step, cf, mi, mf, top, bottom, vector, sums, apart)
    elif step.packed_plane == NO_PLANES:
        _write_bytes(step, cf, mi, mf, top, bottom, vector, sums, apart)
    else:
        _write_planes(step, cf, mi, mf, top, bottom, vector, sums, apart)
