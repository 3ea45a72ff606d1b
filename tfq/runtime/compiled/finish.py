"""What is folded into a convolution on bits whose filters fill whole vectors: from its sums to its results, without a branch too many.

`results.finish` does the same for all else. `sums` is where the sums of the vectors of filters of a part begin, those of a window
side by side.
"""

import numpy as np

from tfq.runtime.compiled.quantize import levels
from tfq.runtime.compiled.vector import (
    any_common,
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
    store_word,
    to_floats,
    to_ints,
)
from tfq.runtime.jit import inlined, njit
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import NO_PLANES, SIGN


@inlined
def _put_nothing(mi, word, plane, x, z, quantizer):
    pass


@inlined
def _put_signs(mi, word, plane, x, z, quantizer):
    zero = fill_floats(np.float32(0.0))
    store_word(mi, word, at_least(x, zero) | at_least(z, zero) << np.uint32(16))


@inlined
def _put_planes(mi, word, plane, x, z, quantizer):
    low, high = to_ints(levels(x, quantizer)), to_ints(levels(z, quantizer))
    for bit in range(quantizer):
        one = fill_ints(np.int32(1 << bit))
        store_word(mi, word + plane * bit, any_common(low, one) | any_common(high, one) << np.uint32(16))


def _finisher(put):
    """`finish` for one way to write 32 values."""

    @njit
    def finish(step, ci, cf, mi, mf, top, bottom, vector, sums):
        width, vectors, channels = step.width, step.vectors, step.channels
        kinds, column_kinds, residual, target = step.kinds, step.column_kinds, step.residual, step.target
        packed_words, plane, quantizer = step.packed_words, step.packed_plane, step.quantizer
        affine, clamp, packed_scale = step.affine_scale, step.clamp, step.packed_scale
        channel, shift = vector * LANES, fill_ints(np.int32(step.shift))
        a_scale, b_scale = load_floats(cf, step.scale + channel), load_floats(cf, step.scale + channel + LANES)
        a_bias, b_bias = load_floats(cf, step.bias + channel), load_floats(cf, step.bias + channel + LANES)
        a_scale_2 = b_scale_2 = a_scale_3 = b_scale_3 = fill_floats(np.float32(1.0))
        a_shift_2 = b_shift_2 = a_shift_3 = b_shift_3 = fill_floats(np.float32(0.0))
        low, high = fill_floats(np.float32(-np.inf)), fill_floats(np.float32(np.inf))
        if affine >= 0:
            a_scale_2, b_scale_2 = load_floats(cf, affine + channel), load_floats(cf, affine + channel + LANES)
            affine = step.affine_shift
            a_shift_2, b_shift_2 = load_floats(cf, affine + channel), load_floats(cf, affine + channel + LANES)
        if clamp >= 0:
            low, high = fill_floats(cf[clamp]), fill_floats(cf[clamp + 1])
        if packed_scale >= 0:
            a_scale_3, b_scale_3 = load_floats(cf, packed_scale + channel), load_floats(cf, packed_scale + channel + LANES)
            packed_scale = step.packed_shift
            a_shift_3, b_shift_3 = load_floats(cf, packed_scale + channel), load_floats(cf, packed_scale + channel + LANES)
        output = top * width * channels + channel
        for y in range(top, bottom):
            first = step.base + (load_int(ci, step.row_kinds + y) * kinds * vectors + vector) * LANES
            word = step.packed + y * step.packed_row + vector // 2
            for x in range(width):
                at = first + load_int(ci, column_kinds + x) * vectors * LANES
                a = to_floats(load_ints(ci, at) - (load_ints(mi, sums) << shift))
                b = to_floats(load_ints(ci, at + LANES) - (load_ints(mi, sums + LANES) << shift))
                a = (a * a_scale + a_bias) * a_scale_2 + a_shift_2
                b = (b * b_scale + b_bias) * b_scale_2 + b_shift_2
                if clamp >= 0:
                    a, b = smaller(high, larger(low, a)), smaller(high, larger(low, b))
                if residual >= 0:
                    a = a + load_floats(mf, residual + output)
                    b = b + load_floats(mf, residual + output + LANES)
                if target >= 0:
                    store_floats(mf, target + output, a)
                    store_floats(mf, target + output + LANES, b)
                put(mi, word, plane, a * a_scale_3 + a_shift_3, b * b_scale_3 + b_shift_3, quantizer)
                word += packed_words
                sums += 2 * LANES
                output += channels

    return finish


_finish, _finish_as_signs, _finish_as_planes = _finisher(_put_nothing), _finisher(_put_signs), _finisher(_put_planes)


@njit
def takes(step, vector):
    """Whether `finish_two` may be called for a vector of filters and the next one: sums of bits, all filters there, no K."""
    is_plain = step.base >= 0 and step.window_sums < 0 and step.input_scale < 0
    return is_plain and (vector + 2) * LANES <= step.filters and (step.packed < 0 or step.packed_plane != NO_PLANES)


@njit
def finish_two(step, ci, cf, mi, mf, top, bottom, vector, sums):
    """See `results.finish`: of 32 filters, from vector `vector` on."""
    if step.packed < 0:
        _finish(step, ci, cf, mi, mf, top, bottom, vector, sums)
    elif step.quantizer == SIGN:
        _finish_as_signs(step, ci, cf, mi, mf, top, bottom, vector, sums)
    else:
        _finish_as_planes(step, ci, cf, mi, mf, top, bottom, vector, sums)
