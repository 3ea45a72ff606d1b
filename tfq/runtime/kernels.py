"""The compiled steps of a network, and the loop that runs them on images one after another.

A program is an int64 matrix: a row a step, its code (below) first, then numbers in the order in which the step reads them: sizes,
and where in the two arrays things are. `constants` holds what belongs to the network (weights, tables), `memory` what belongs
to one image in flight. Both come twice, as integers (`ci`, `mi`) and as float32 (`cf`, `mf`); positions count 32-bit elements,
and -1 stands for "none" where one is optional. The rows are written by `tfq.runtime.steps`.

A plain tensor is (height, width, channels) of float32. A frame is a tensor with a margin of padding around it. An image of bits
is a frame whose pixels are `words` 32-bit words, channel c in bit c mod 32 of word c // 32, unused bits 0; an image of b bits
a value is b of them, the lowest bit first.
"""

import numpy as np

from tfq.runtime.jit import cached, njit
from tfq.runtime.tile import FLOAT, accumulate
from tfq.runtime.vector import (
    LANES,
    any_common,
    at_least,
    fill_floats,
    fill_ints,
    larger,
    load_floats,
    load_ints,
    smaller,
    store_floats,
    store_half,
    to_floats,
    to_ints,
)

FILL, PACK, WINDOWS, CONVOLVE, FRAME, MAP, ADD, KMAP, MAX_POOL, MEAN_POOL, COPY = range(11)

# Values of a step's `quantizer`: none, the sign, or the number of bits of levels.
NONE, SIGN = -1, 0

# Adding and subtracting it rounds to an integer, ties to even, where |x| < 2^22: no call of a library, on no processor.
_ROUNDER = np.float32(1.5 * 2**23)


@njit
def _level(x, bits):
    n = np.float32((1 << bits) - 1)
    x = min(x, np.float32(1.0)) if x > np.float32(0.0) else np.float32(0.0)
    return (n * x + _ROUNDER) - _ROUNDER


@njit
def _put_bits(mi, half, plane, x, quantizer, valid):
    """Write 16 values, quantized, to the half word `half` of each plane; lanes not in `valid` give 0."""
    if quantizer == SIGN:
        store_half(mi, half, at_least(x, fill_floats(np.float32(0.0))) & valid)
        return
    x = smaller(larger(x, fill_floats(np.float32(0.0))), fill_floats(np.float32(1.0)))
    rounder = fill_floats(_ROUNDER)
    level = to_ints((fill_floats(np.float32((1 << quantizer) - 1)) * x + rounder) - rounder)
    for bit in range(quantizer):
        store_half(mi, half + 2 * plane * bit, any_common(level, fill_ints(np.int32(1 << bit))) & valid)


@njit
def _clear_half(mi, half, plane, quantizer):
    for bit in range(max(quantizer, 1)):
        store_half(mi, half + 2 * plane * bit, np.uint32(0))


@njit
def _valid_lanes(vector, channels):
    rest = channels - vector * LANES
    return np.uint32(0xFFFF) if rest >= LANES else np.uint32((1 << rest) - 1)


@njit
def fill(row, mi):
    """Write the margin of a frame: `full` to each word of a pixel but the last, and `last` to that."""
    at, height, width, top, left, bottom, right = row[1], row[2], row[3], row[4], row[5], row[6], row[7]
    words, full, last = row[8], np.uint32(row[9]), np.uint32(row[10])
    total = left + width + right
    for y in range(top + height + bottom):
        inside = top <= y < top + height
        for x in range(total):
            if inside and x == left:
                continue
            if inside and left < x < left + width:
                continue
            pixel = at + (y * total + x) * words
            for word in range(words - 1):
                mi[pixel + word] = full
            mi[pixel + words - 1] = last


@njit
def pack(row, cf, mi, mf):
    """Quantize a plain tensor, after an optional x * scale + shift, into the inside of an image of bits."""
    source, height, width, channels = row[1], row[2], row[3], row[4]
    target, row_words, words, plane, quantizer, scale, shift = row[5], row[6], row[7], row[8], row[9], row[10], row[11]
    vectors = (channels + LANES - 1) // LANES
    for y in range(height):
        for x in range(width):
            pixel = source + (y * width + x) * channels
            half = 2 * (target + y * row_words + x * words)
            for v in range(vectors):
                values = load_floats(mf, pixel + v * LANES)
                if scale >= 0:
                    values = values * load_floats(cf, scale + v * LANES) + load_floats(cf, shift + v * LANES)
                _put_bits(mi, half + v, plane, values, quantizer, _valid_lanes(v, channels))
            if vectors % 2:
                _clear_half(mi, half + vectors, plane, quantizer)


@njit
def windows(row, mi):
    """Pack the bits of each window (kernel x kernel x fewer than 32 channels) densely: (words, height, width)."""
    source, row_words, step, height, width = row[1], row[2], row[3], row[4], row[5]
    kernel_height, kernel_width, tap_row, tap_step, bits, target = row[6], row[7], row[8], row[9], row[10], row[11]
    size = height * width
    for y in range(height):
        filled = 0
        for i in range(kernel_height):
            for j in range(kernel_width):
                word, shift = filled // 32, filled % 32
                begin = source + y * row_words + i * tap_row + j * tap_step
                to = target + word * size + y * width
                for x in range(width):
                    pixel = mi[begin + x * step]
                    mi[to + x] = pixel if shift == 0 else mi[to + x] | pixel << np.uint32(shift)
                if shift + bits > 32:
                    for x in range(width):
                        mi[to + size + x] = mi[begin + x * step] >> np.uint32(32 - shift)
                filled += bits


@njit
def convolve(row, ci, cf, mi, mf):
    """A convolution (or a product of matrices), and all that is folded into it, a tile at a time.

    a = base - factor sums                              the integer accumulator, of bits; of floats, a = sums
    bits = (a >= threshold) ^ flip                      or:
    y = clamp((a scale [K] + bias) [scale' + shift']) [+ residual];   bits = quantizer(y [scale'' + shift''])
    """
    kind, positions, height, width, vectors = row[1], row[2], row[3], row[4], row[5]
    start, row_step, step, offsets, ends, segments = row[6], row[7], row[8], row[9], row[10], row[11]
    weights, masks, words, scratch = row[12], row[13], row[14], row[15]
    base, row_classes, column_classes, classes, factor = row[16], row[17], row[18], row[19], row[20]
    thresholds, flips, scale, bias, kmap = row[21], row[22], row[23], row[24], row[25]
    affine_scale, affine_shift, clamp, residual = row[26], row[27], row[28], row[29]
    target, channels, filters = row[30], row[31], row[32]
    bits, bits_row, bits_words, plane, quantizer, bits_scale, bits_shift = (
        row[33],
        row[34],
        row[35],
        row[36],
        row[37],
        row[38],
        row[39],
    )
    stride = words * LANES
    for v in range(0, vectors, 2):
        count = min(2, vectors - v)
        for y in range(height):
            row_class = ci[row_classes + y] * classes if kind != FLOAT else 0
            for begin in range(0, width, positions):
                # The last tile of a row may overlap the one before: it computes the same values again.
                first_x = min(begin, width - positions)
                at = start + y * row_step + first_x * step
                accumulate(
                    kind, positions, count, ci, cf, mi, mf, at, step, offsets, ends, segments,
                    weights + v * stride, masks + v * stride, words, scratch,
                )  # fmt: skip
                for p in range(positions):
                    x = first_x + p
                    position = y * width + x
                    for i in range(count):
                        vector = v + i
                        channel = vector * LANES
                        sums = scratch + (p * count + i) * LANES
                        half = 2 * (bits + y * bits_row + x * bits_words) + vector
                        valid = _valid_lanes(vector, filters)
                        last_half = vector == vectors - 1 and vectors % 2 == 1
                        if kind == FLOAT:
                            value = load_floats(mf, sums)
                        else:
                            table = base + (row_class + ci[column_classes + x]) * vectors * LANES + channel
                            total = load_ints(ci, table) - fill_ints(np.int32(factor)) * load_ints(mi, sums)
                            if thresholds >= 0:
                                above = at_least(total, load_ints(ci, thresholds + channel))
                                store_half(mi, half, (above ^ np.uint32(ci[flips + vector])) & valid)
                                if last_half:
                                    store_half(mi, half + 1, np.uint32(0))
                                continue
                            value = to_floats(total)
                        value = value * load_floats(cf, scale + channel)
                        if kmap >= 0:
                            value = value * fill_floats(mf[kmap + position])
                        value = value + load_floats(cf, bias + channel)
                        if affine_scale >= 0:
                            value = value * load_floats(cf, affine_scale + channel)
                            value = value + load_floats(cf, affine_shift + channel)
                        if clamp >= 0:
                            value = smaller(fill_floats(cf[clamp + 1]), larger(fill_floats(cf[clamp]), value))
                        output = position * channels + channel
                        if residual >= 0:
                            value = value + load_floats(mf, residual + output)
                        if target >= 0:
                            rest = filters - channel
                            if rest >= LANES:
                                store_floats(mf, target + output, value)
                            else:
                                store_floats(mf, sums, value)
                                for lane in range(rest):
                                    mf[target + output + lane] = mf[sums + lane]
                        if bits >= 0:
                            if bits_scale >= 0:
                                value = value * load_floats(cf, bits_scale + channel)
                                value = value + load_floats(cf, bits_shift + channel)
                            _put_bits(mi, half, plane, value, quantizer, valid)
                            if last_half:
                                _clear_half(mi, half + 1, plane, quantizer)


@njit
def frame(row, mf):
    """Copy a plain tensor into the inside of a frame, quantized to whole numbers: signs, or levels 0 ... 2^bits - 1."""
    source, height, width, channels, target, row_step, quantizer = row[1], row[2], row[3], row[4], row[5], row[6], row[7]
    size = width * channels
    for y in range(height):
        begin, to = source + y * size, target + y * row_step
        if quantizer == NONE:
            for i in range(size):
                mf[to + i] = mf[begin + i]
        elif quantizer == SIGN:
            for i in range(size):
                mf[to + i] = np.float32(1.0) if mf[begin + i] >= np.float32(0.0) else np.float32(-1.0)
        else:
            for i in range(size):
                mf[to + i] = _level(mf[begin + i], quantizer)


@njit
def map_elements(row, cf, mf):
    """x * scale + shift, or a clamp to [low, high], or a quantizer with its values in [-1, 1]."""
    source, target, pixels, channels, scale, shift, clamp, quantizer = (
        row[1],
        row[2],
        row[3],
        row[4],
        row[5],
        row[6],
        row[7],
        row[8],
    )
    if scale >= 0:
        for i in range(pixels):
            for c in range(channels):
                mf[target + i * channels + c] = mf[source + i * channels + c] * cf[scale + c] + cf[shift + c]
    elif clamp >= 0:
        low, high = cf[clamp], cf[clamp + 1]
        for i in range(pixels * channels):
            x = mf[source + i]
            x = low if low > x else x
            mf[target + i] = high if high < x else x
    elif quantizer == SIGN:
        for i in range(pixels * channels):
            mf[target + i] = np.float32(1.0) if mf[source + i] >= np.float32(0.0) else np.float32(-1.0)
    else:
        n = np.float32((1 << quantizer) - 1)
        for i in range(pixels * channels):
            mf[target + i] = _level(mf[source + i], quantizer) / n


@njit
def add(row, mf):
    """a + b."""
    a, b, target, size = row[1], row[2], row[3], row[4]
    for i in range(size):
        mf[target + i] = mf[a + i] + mf[b + i]


@njit
def kmap(row, mf):
    """K: the mean of |x| over the channels, into the inside of a frame, and its mean over each window."""
    source, height, width, channels, inside, row_step = row[1], row[2], row[3], row[4], row[5], row[6]
    start, out_height, out_width, stride_y, stride_x = row[7], row[8], row[9], row[10], row[11]
    kernel_height, kernel_width, tap_row, tap_step, target = row[12], row[13], row[14], row[15], row[16]
    for y in range(height):
        for x in range(width):
            pixel = source + (y * width + x) * channels
            total = np.float32(0.0)
            for c in range(channels):
                total += abs(mf[pixel + c])
            mf[inside + y * row_step + x] = total / np.float32(channels)
    share = np.float32(1.0) / np.float32(kernel_height * kernel_width)
    for y in range(out_height):
        for x in range(out_width):
            total = np.float32(0.0)
            for i in range(kernel_height):
                for j in range(kernel_width):
                    total += mf[start + y * stride_y + x * stride_x + i * tap_row + j * tap_step]
            mf[target + y * out_width + x] = total * share


@njit
def pool(row, mf):
    """Maximum or mean over windows cut off at the edges; a global pool has one window."""
    source, height, width, channels, target, out_height, out_width = row[1], row[2], row[3], row[4], row[5], row[6], row[7]
    pool_height, pool_width, stride_y, stride_x, top, left = row[8], row[9], row[10], row[11], row[12], row[13]
    mean = row[0] == MEAN_POOL
    for y in range(out_height):
        for x in range(out_width):
            first_y, last_y = max(y * stride_y - top, 0), min(y * stride_y - top + pool_height, height)
            first_x, last_x = max(x * stride_x - left, 0), min(x * stride_x - left + pool_width, width)
            to = target + (y * out_width + x) * channels
            for c in range(channels):
                mf[to + c] = np.float32(0.0) if mean else np.float32(-np.inf)
            for i in range(first_y, last_y):
                for j in range(first_x, last_x):
                    pixel = source + (i * width + j) * channels
                    if mean:
                        for c in range(channels):
                            mf[to + c] += mf[pixel + c]
                    else:
                        for c in range(channels):
                            mf[to + c] = mf[pixel + c] if mf[pixel + c] > mf[to + c] else mf[to + c]
            if mean:
                count = np.float32((last_y - first_y) * (last_x - first_x))
                for c in range(channels):
                    mf[to + c] /= count


@njit
def copy(row, mf):
    """Copy rows of `size` numbers from steps of `source_step` to steps of `target_step`."""
    source, source_step, target, target_step, rows, size = row[1], row[2], row[3], row[4], row[5], row[6]
    for y in range(rows):
        for i in range(size):
            mf[target + y * target_step + i] = mf[source + y * source_step + i]


@cached
def run(program, ci, cf, mi, mf, images, source, outputs, target):
    """Run the program on each of `images` (n, size), read to memory at `source`; its results, at `target`, go to `outputs`."""
    for n in range(images.shape[0]):
        for i in range(images.shape[1]):
            mf[source + i] = images[n, i]
        for s in range(program.shape[0]):
            row = program[s]
            step = row[0]
            if step == CONVOLVE:
                convolve(row, ci, cf, mi, mf)
            elif step == PACK:
                pack(row, cf, mi, mf)
            elif step == FILL:
                fill(row, mi)
            elif step == WINDOWS:
                windows(row, mi)
            elif step == FRAME:
                frame(row, mf)
            elif step == MAP:
                map_elements(row, cf, mf)
            elif step == ADD:
                add(row, mf)
            elif step == KMAP:
                kmap(row, mf)
            elif step == COPY:
                copy(row, mf)
            else:
                pool(row, mf)
        for i in range(outputs.shape[1]):
            outputs[n, i] = mf[target + i]


@cached
def decode(pixels, table, images):
    """uint8 pixels (n, size) to float32, by `table` (channels, 256)."""
    channels = table.shape[0]
    for n in range(pixels.shape[0]):
        for begin in range(0, pixels.shape[1], channels):
            for c in range(channels):
                images[n, begin + c] = table[c, pixels[n, begin + c]]
