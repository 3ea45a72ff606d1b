"""What is folded into a convolution: from its sums to its results, 16 filters at a time and in one pass.

`pairs` does the same on two vectors at a time, where there are two. `sums` is where the sums of a vector of filters begin, and
`apart` the distance from one window to the next.
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
    load_int,
    load_ints,
    smaller,
    store_floats,
    store_half,
    store_some,
    store_word,
    to_floats,
)
from tfq.runtime.jit import inlined, njit
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import NO_PLANES, NOWHERE, SIGN


@inlined
def _whole_sums(mi, sums, shift, window_sums, position):
    """The sums of a window in whole: doubled where `shift` is 1, and with that of its inputs where there is one."""
    total = load_ints(mi, sums) << shift
    if window_sums >= 0:
        total = total + fill_ints(np.int32(load_int(mi, window_sums + position)))
    return total


@njit
def threshold(step, ci, mi, top, bottom, vector, sums, apart):
    """bits = (sums <= threshold) ^ flip, of 16 filters and the windows of some rows."""
    width, vectors, filters, window_sums = step.width, step.vectors, step.filters, step.window_sums
    column_kinds, packed_words, shift = step.column_kinds, step.packed_words, fill_ints(np.int32(step.shift))
    valid = valid_lanes(vector, filters)
    flip = np.uint32(ci[step.flips + vector]) & valid
    # The last half word of a pixel is written with the one before, as a word of its own.
    is_last = vector == vectors - 1 and vectors % 2 == 1
    for y in range(top, bottom):
        first = step.thresholds + (load_int(ci, step.row_kinds + y) * step.kinds * vectors + vector) * LANES
        word, half = step.packed + y * step.packed_row + vector // 2, vector % 2
        for x in range(width):
            limit = load_ints(ci, first + load_int(ci, column_kinds + x) * vectors * LANES)
            bits = at_least(limit, _whole_sums(mi, sums, shift, window_sums, y * width + x)) & valid ^ flip
            if is_last:
                store_word(mi, 2 * word, bits)
            else:
                store_half(mi, 2 * word + half, bits)
            word += packed_words
            sums += apart


@njit
def finish(step, ci, cf, mi, mf, top, bottom, vector, sums, apart):
    """y = clamp((a scale [K] + bias) [affine_scale + affine_shift]) [+ residual], of 16 filters and the windows of some rows.

    y goes to the tensor where there is one, and quantizer(y [packed_scale + packed_shift]) to the packed tensor.
    """
    width, vectors, filters, channels = step.width, step.vectors, step.filters, step.channels
    base, row_kinds, column_kinds, kinds = step.base, step.row_kinds, step.column_kinds, step.kinds
    window_sums, input_scale, residual, target = step.window_sums, step.input_scale, step.residual, step.target
    packed, packed_row, packed_words, plane = step.packed, step.packed_row, step.packed_words, step.packed_plane
    affine, clamp, quantizer, packed_scale = step.affine_scale, step.clamp, step.quantizer, step.packed_scale
    channel, shift = vector * LANES, fill_ints(np.int32(step.shift))
    scale, bias = load_floats(cf, step.scale + channel), fill_floats(np.float32(0.0))
    if step.bias >= 0:
        bias = load_floats(cf, step.bias + channel)
    scale_2, shift_2 = fill_floats(np.float32(1.0)), fill_floats(np.float32(0.0))
    low, high = fill_floats(np.float32(-np.inf)), fill_floats(np.float32(np.inf))
    scale_3, shift_3 = fill_floats(np.float32(1.0)), fill_floats(np.float32(0.0))
    if affine >= 0:
        scale_2, shift_2 = load_floats(cf, affine + channel), load_floats(cf, step.affine_shift + channel)
    if clamp >= 0:
        low, high = fill_floats(cf[clamp]), fill_floats(cf[clamp + 1])
    if packed_scale >= 0:
        scale_3, shift_3 = load_floats(cf, packed_scale + channel), load_floats(cf, step.packed_shift + channel)
    valid, whole = valid_lanes(vector, filters), channel + LANES <= filters
    as_bytes = plane == NO_PLANES
    halves = HALVES_OF_BYTES if as_bytes else HALVES_OF_BITS
    clear = not as_bytes and vector == vectors - 1 and vectors % 2 == 1
    output, position = top * width * channels + channel, top * width
    for y in range(top, bottom):
        first = 0 if base < 0 else base + (ci[row_kinds + y] * kinds * vectors + vector) * LANES
        half = 2 * (packed + y * packed_row) + vector * halves
        for x in range(width):
            if base >= 0:
                accumulator = load_ints(ci, first + ci[column_kinds + x] * vectors * LANES)
                value = to_floats(accumulator - _whole_sums(mi, sums, shift, window_sums, position))
            else:
                value = load_floats(mf, sums)
            value = value * scale
            if input_scale >= 0:
                value = value * fill_floats(mf[input_scale + position])
            value = smaller(high, larger(low, (value + bias) * scale_2 + shift_2))
            if residual >= 0:
                value = value + load_floats(mf, residual + output)
            if target != NOWHERE:
                if whole:
                    store_floats(mf, target + output, value)
                else:
                    store_some(mf, target + output, value, valid)
            if packed >= 0:
                value = value * scale_3 + shift_3
                if quantizer == SIGN:
                    put_signs(mi, half, plane, value, quantizer, valid)
                elif as_bytes:
                    put_bytes(mi, half, plane, value, quantizer, valid)
                else:
                    put_planes(mi, half, plane, value, quantizer, valid)
                if clear:
                    clear_half(mi, half + 1, plane, quantizer)
            half += 2 * packed_words
            sums += apart
            output += channels
            position += 1
