"""Tensors as packed tensors, and the margins of frames."""

import numpy as np

from tfq.runtime.compiled.quantize import (
    HALVES_OF_BITS,
    HALVES_OF_BYTES,
    clear_half,
    put_bytes,
    put_planes,
    put_signs,
    quantized,
    valid_lanes,
)
from tfq.runtime.compiled.vector import fill_floats, fill_ints, load_floats, store_floats, store_ints, store_word, two_at_least
from tfq.runtime.jit import inlined, njit
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import NO_PLANES, NO_QUANTIZER, SIGN


@inlined
def _fill(mi, begin, end, vector, word):
    """Write a word, or vectors of it, from `begin` to `end`."""
    whole = begin + (end - begin) // LANES * LANES
    for i in range(begin, whole, LANES):
        store_ints(mi, i, vector)
    for i in range(whole, end):
        mi[i] = word


@njit
def fill_margin(step, mi):
    """See `FillMargin`."""
    frame, words, right = step.frame, step.words, step.right
    full, last = np.uint32(step.full), np.uint32(step.last)
    inside, total = step.width * words, (step.left + step.width + right) * words
    vector = fill_ints(np.int32(full))
    # From the end of one row to the beginning of the next: first all that is above, at last all that is below.
    begin = frame
    end = frame + step.top * total + step.left * words
    for y in range(step.height + 1):
        if y == step.height:
            end += step.bottom * total - step.left * words
        if full == last:
            _fill(mi, begin, end, vector, full)
        else:
            for pixel in range(begin, end, words):
                for word in range(pixel, pixel + words - 1):
                    mi[word] = full
                mi[pixel + words - 1] = last
        begin = end + inside
        end += total


def _packer(put, halves):
    """`pack` for one way to write 16 values, which take so many half words: a choice within its loop would cost a third of it."""

    @njit
    def pack(step, cf, mi, floats, source):
        width, channels, scale, shift = step.width, step.channels, step.packed_scale, step.packed_shift
        target, row, words, plane, quantizer = (
            step.packed, step.packed_row, step.packed_words, step.packed_plane, step.quantizer,
        )  # fmt: skip
        vectors = (channels + LANES - 1) // LANES
        for y in range(step.height):
            for x in range(width):
                pixel = source + (y * width + x) * channels
                half = 2 * (target + y * row + x * words)
                for v in range(vectors):
                    values = load_floats(floats, pixel + v * LANES)
                    if scale >= 0:
                        values = values * load_floats(cf, scale + v * LANES) + load_floats(cf, shift + v * LANES)
                    put(mi, half + v * halves, plane, values, quantizer, valid_lanes(v, channels))
                if vectors % 2 and halves == 1:
                    clear_half(mi, half + vectors, plane, quantizer)

    return pack


_pack_signs, _pack_planes = _packer(put_signs, HALVES_OF_BITS), _packer(put_planes, HALVES_OF_BITS)
_pack_bytes = _packer(put_bytes, HALVES_OF_BYTES)


@njit
def _pack_whole_words(step, mi, floats, first):
    """Signs of channels that fill whole words, as they are: the pixels of a row are one behind the other."""
    size, zero = step.width * step.channels, fill_floats(np.float32(0.0))
    for y in range(step.height):
        source, half = first + y * size, 2 * (step.packed + y * step.packed_row)
        for i in range(0, size, 2 * LANES):
            bits = two_at_least(load_floats(floats, source + i), load_floats(floats, source + i + LANES), zero, zero)
            store_word(mi, half + i // LANES, bits)


@njit
def pack(step, cf, mi, floats, source):
    """See `Pack`; the tensor begins at floats[source]."""
    if step.quantizer == SIGN and step.packed_scale < 0 and step.channels % (2 * LANES) == 0:
        _pack_whole_words(step, mi, floats, source)
    elif step.quantizer == SIGN:
        _pack_signs(step, cf, mi, floats, source)
    elif step.packed_plane == NO_PLANES:
        _pack_bytes(step, cf, mi, floats, source)
    else:
        _pack_planes(step, cf, mi, floats, source)


@njit
def copy_to_frame(step, mf):
    """See `CopyToFrame`."""
    if step.repeat > 1:
        _copy_repeated(step, mf)
        return
    source, target, row, quantizer = step.source, step.target, step.target_row, step.quantizer
    size = step.width * step.channels
    for y in range(step.height):
        for i in range(0, size, LANES):
            values = load_floats(mf, source + y * size + i)
            if quantizer != NO_QUANTIZER:
                values = quantized(values, quantizer)
            store_floats(mf, target + y * row + i, values)


@njit
def _copy_repeated(step, mf):
    source, target, row, quantizer, repeat = step.source, step.target, step.target_row, step.quantizer, step.repeat
    size = step.width * step.channels
    for y in range(step.height):
        for i in range(size):
            value = fill_floats(mf[source + y * size + i])
            if quantizer != NO_QUANTIZER:
                value = quantized(value, quantizer)
            # What the last vector of a channel writes too much, the next channel overwrites.
            for j in range(0, repeat, LANES):
                store_floats(mf, target + y * row + i * repeat + j, value)
