"""What is folded into a convolution, from its sums to its results in one pass: two vectors at a time, the usual case.

They are two vectors of filters of a window or, where a part has one, the same of two windows side by side. Either way their sums
lie side by side. What has no second one (a row of odd width), or filters that do not fill a vector, is left to `results`.
"""

import numpy as np

from tfq.runtime.compiled.call import arrays
from tfq.runtime.compiled.convolve import as_convolve
from tfq.runtime.compiled.quantize import HALVES_OF_BITS, HALVES_OF_BYTES, level_bits, valid_lanes
from tfq.runtime.compiled.results import finish, threshold
from tfq.runtime.compiled.vector import (
    fill_floats,
    fill_ints,
    larger,
    load_floats,
    load_int,
    load_ints,
    smaller,
    store_bytes,
    store_floats,
    store_half,
    store_word,
    to_floats,
    two_any_common,
    two_at_least,
    two_ints_at_least,
)
from tfq.runtime.jit import inlined, outermost
from tfq.runtime.lanes import LANES
from tfq.runtime.program.routines import BYTES, PLANES, SIGNS, THRESHOLDS
from tfq.runtime.program.steps import NOWHERE


@inlined
def takes(step, vector, count):
    """Whether the functions below compute `count` vectors of filters from `vector` on."""
    whole = step.thresholds >= 0 or (vector + count) * LANES <= step.filters
    return whole and (count == 2 or step.width % 2 == 0)


@inlined
def _write(mi, half, bits, to_half, is_last):
    """16 bits of each of two vectors: the halves of a word, or half words of two windows, with those after the last channels."""
    if to_half == HALVES_OF_BITS:
        store_word(mi, half, bits)
    elif is_last:
        store_word(mi, half, bits & np.uint32(0xFFFF))
        store_word(mi, half + to_half, bits >> np.uint32(16))
    else:
        store_half(mi, half, bits)
        store_half(mi, half + to_half, bits >> np.uint32(16))


@inlined
def _is_last(step, vector):
    return vector == step.vectors - 1 and vector % 2 == 0


# numba compiles it once, and LLVM inlines it for each of the constants that end its arguments. So it is with `_finish` too:
# numba's part takes as long as that of LLVM.
@inlined
def _threshold(step, ci, mi, top, bottom, vector, sums, pair):
    """`threshold_two` for a pair of vectors, or for a pair of windows."""
    to_limit, to_window = (LANES, 0) if pair else (0, 1)
    width, vectors, window_sums, position = step.width, step.vectors, step.window_sums, top * step.width
    column_kinds, pixel, shift = step.column_kinds, 2 * step.packed_words, fill_ints(np.int32(step.shift))
    to_half, next_vector = (HALVES_OF_BITS, vector + 1) if pair else (pixel, vector)
    is_last = not pair and _is_last(step, vector)
    valid, next_valid = valid_lanes(vector, step.filters), valid_lanes(next_vector, step.filters)
    flip, next_flip = np.uint32(load_int(ci, step.flips + vector)), np.uint32(load_int(ci, step.flips + next_vector))
    valid, flip = valid | next_valid << np.uint32(16), flip & valid | (next_flip & next_valid) << np.uint32(16)
    for y in range(top, bottom):
        first = step.thresholds + (load_int(ci, step.row_kinds + y) * step.kinds * vectors + vector) * LANES
        half = 2 * (step.packed + y * step.packed_row) + vector
        for x in range(0, width, 1 + to_window):
            limit = load_ints(ci, first + load_int(ci, column_kinds + x) * vectors * LANES)
            next_limit = load_ints(ci, first + load_int(ci, column_kinds + x + to_window) * vectors * LANES + to_limit)
            total, next_total = load_ints(mi, sums) << shift, load_ints(mi, sums + LANES) << shift
            if window_sums >= 0:
                total = total + fill_ints(np.int32(load_int(mi, window_sums + position)))
                next_total = next_total + fill_ints(np.int32(load_int(mi, window_sums + position + to_window)))
            bits = two_ints_at_least(limit, next_limit, total, next_total)
            _write(mi, half, bits & valid ^ flip, to_half, is_last)
            half += pixel << to_window
            sums += 2 * LANES
            position += 1 + to_window


@inlined
def _put_signs(mi, half, to_half, plane, x, z, quantizer, is_last):
    zero = fill_floats(np.float32(0.0))
    _write(mi, half, two_at_least(x, z, zero, zero), to_half, is_last)


@inlined
def _put_planes(mi, half, to_half, plane, x, z, quantizer, is_last):
    x, z = level_bits(x, quantizer), level_bits(z, quantizer)
    one, two = fill_ints(np.int32(1)), fill_ints(np.int32(2))
    _write(mi, half, two_any_common(x, z, one, one), to_half, is_last)
    if quantizer == 2:  # the usual number, without a loop
        _write(mi, half + 2 * plane, two_any_common(x, z, two, two), to_half, is_last)
        return
    for bit in range(1, quantizer):
        one = fill_ints(np.int32(1 << bit))
        _write(mi, half + 2 * plane * bit, two_any_common(x, z, one, one), to_half, is_last)


@inlined
def _put_bytes(mi, half, to_half, plane, x, z, quantizer, is_last):
    store_bytes(mi, half, level_bits(x, quantizer))
    store_bytes(mi, half + to_half, level_bits(z, quantizer))


@inlined
def _put(mi, half, to_half, plane, x, z, quantizer, is_last, way):
    if way == SIGNS:
        _put_signs(mi, half, to_half, plane, x, z, quantizer, is_last)
    elif way == BYTES:
        _put_bytes(mi, half, to_half, plane, x, z, quantizer, is_last)
    elif way == PLANES:
        _put_planes(mi, half, to_half, plane, x, z, quantizer, is_last)


# The pass of `results.finish`, written again for two. With one inlined form for both, in which a lone vector is a pair with
# itself, LLVM moves more between registers for two windows, and an XNOR resnet20 takes about half a percent longer.
@inlined
def _finish(step, ci, cf, mi, mf, top, bottom, vector, sums, way, pair):
    """`finish_two` for one way to write 16 values; for a pair of vectors, or of windows."""
    to_channel, to_window = (LANES, 0) if pair else (0, 1)
    halves = HALVES_OF_BYTES if way == BYTES else HALVES_OF_BITS
    width, vectors, channels, base, position = step.width, step.vectors, step.channels, step.base, top * step.width
    kinds, column_kinds, residual, target = step.kinds, step.column_kinds, step.residual, step.target
    window_sums, input_scale, clamp = step.window_sums, step.input_scale, step.clamp
    pixel, plane, quantizer = 2 * step.packed_words, step.packed_plane, step.quantizer
    to_output, to_half = (LANES, halves) if pair else (channels, pixel)
    channel, shift = vector * LANES, fill_ints(np.int32(step.shift))
    is_last = not pair and _is_last(step, vector)
    next_channel, output = channel + to_channel, top * width * channels + channel
    scale, next_scale = load_floats(cf, step.scale + channel), load_floats(cf, step.scale + next_channel)
    bias = next_bias = fill_floats(np.float32(0.0))
    has_affine = step.bias >= 0 or step.affine_scale >= 0
    if step.bias >= 0:
        bias, next_bias = load_floats(cf, step.bias + channel), load_floats(cf, step.bias + next_channel)
    scale_2 = next_scale_2 = scale_3 = next_scale_3 = fill_floats(np.float32(1.0))
    shift_2 = next_shift_2 = shift_3 = next_shift_3 = low = high = fill_floats(np.float32(0.0))
    if step.affine_scale >= 0:
        scale_2, next_scale_2 = (
            load_floats(cf, step.affine_scale + channel),
            load_floats(cf, step.affine_scale + next_channel),
        )
        shift_2, next_shift_2 = (
            load_floats(cf, step.affine_shift + channel),
            load_floats(cf, step.affine_shift + next_channel),
        )
    if clamp >= 0:
        low, high = fill_floats(cf[clamp]), fill_floats(cf[clamp + 1])
    if step.packed_scale >= 0:
        scale_3, next_scale_3 = (
            load_floats(cf, step.packed_scale + channel),
            load_floats(cf, step.packed_scale + next_channel),
        )
        shift_3, next_shift_3 = (
            load_floats(cf, step.packed_shift + channel),
            load_floats(cf, step.packed_shift + next_channel),
        )
    for y in range(top, bottom):
        first = 0 if base < 0 else base + (load_int(ci, step.row_kinds + y) * kinds * vectors + vector) * LANES
        half = 2 * (step.packed + y * step.packed_row) + vector * halves
        for x in range(0, width, 1 + to_window):
            if base >= 0:
                total, next_total = load_ints(mi, sums) << shift, load_ints(mi, sums + LANES) << shift
                if window_sums >= 0:
                    total = total + fill_ints(np.int32(load_int(mi, window_sums + position)))
                    next_total = next_total + fill_ints(np.int32(load_int(mi, window_sums + position + to_window)))
                at = first + load_int(ci, column_kinds + x) * vectors * LANES
                next_at = first + load_int(ci, column_kinds + x + to_window) * vectors * LANES + to_channel
                a, b = to_floats(load_ints(ci, at) - total), to_floats(load_ints(ci, next_at) - next_total)
            else:
                a, b = load_floats(mf, sums), load_floats(mf, sums + LANES)
            a, b = a * scale, b * next_scale
            if input_scale >= 0:
                a = a * fill_floats(mf[np.uint64(input_scale + position)])
                b = b * fill_floats(mf[np.uint64(input_scale + position + to_window)])
            if has_affine:
                a, b = (a + bias) * scale_2 + shift_2, (b + next_bias) * next_scale_2 + next_shift_2
            if clamp >= 0:
                a, b = smaller(high, larger(low, a)), smaller(high, larger(low, b))
            if residual >= 0:
                a = a + load_floats(mf, residual + output)
                b = b + load_floats(mf, residual + output + to_output)
            if target != NOWHERE:
                store_floats(mf, target + output, a)
                store_floats(mf, target + output + to_output, b)
            _put(mi, half, to_half, plane, a * scale_3 + shift_3, b * next_scale_3 + next_shift_3, quantizer, is_last, way)
            half += pixel << to_window
            sums += 2 * LANES
            output += channels << to_window
            position += 1 + to_window


def results_of(way):
    """The routine of one of the ways in which sums become results."""
    return _thresholds if way == THRESHOLDS else _values(way)


@outermost
def _thresholds(row, data, top, bottom, vector, count, sums):
    step, (ci, _, mi, _) = as_convolve(row), arrays(data)
    if not takes(step, vector, count):
        for i in range(count):
            threshold(step, ci, mi, top, bottom, vector + i, sums + i * LANES, count * LANES)
    elif count == 2:
        _threshold(step, ci, mi, top, bottom, vector, sums, True)
    else:
        _threshold(step, ci, mi, top, bottom, vector, sums, False)


def _values(way):
    @outermost
    def values(row, data, top, bottom, vector, count, sums):
        step, (ci, cf, mi, mf) = as_convolve(row), arrays(data)
        if not takes(step, vector, count):
            for i in range(count):
                finish(step, ci, cf, mi, mf, top, bottom, vector + i, sums + i * LANES, count * LANES)
        elif count == 2:
            _finish(step, ci, cf, mi, mf, top, bottom, vector, sums, way, True)
        else:
            _finish(step, ci, cf, mi, mf, top, bottom, vector, sums, way, False)

    return values
