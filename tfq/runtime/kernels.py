"""The compiled steps of a network, and the loop that runs them on images one after another.

A program is an int64 matrix: a row a step, its code (below) first, then numbers in the order in which the step reads them: sizes,
and where in the two arrays things are. `constants` holds what belongs to the network (weights, tables), `memory` what belongs
to one image in flight. Both come twice, as integers (`ci`, `mi`) and as float32 (`cf`, `mf`); positions count 32-bit elements,
and -1 stands for "none" where one is optional. The rows are written by `tfq.runtime.steps`.

A plain tensor is (height, width, channels) of float32. A frame is a tensor with a margin of padding around it. An image of bits
is a frame whose pixels are `words` 32-bit words, channel c in bit c mod 32 of word c // 32, unused bits 0; an image of b bits
a value is b of them, the lowest bit first. An image of bytes holds levels, channel c in byte c of its pixel, whose words are a
multiple of 4 and whose unused bytes may be anything; where a step has the distance of its planes, that is 0.
"""

import numpy as np

from tfq.runtime import share
from tfq.runtime.jit import cached, njit
from tfq.runtime.tile import FLOAT, accumulate
from tfq.runtime.vector import (
    LANES,
    any_common,
    at_least,
    fill_floats,
    fill_ints,
    larger,
    load_apart,
    load_floats,
    load_ints,
    signs,
    smaller,
    store_bytes,
    store_floats,
    store_half,
    store_ints,
    to_floats,
    to_ints,
    total,
    total_ints,
)

FILL, PACK, WINDOWS, BOX, CONVOLVE, FRAME, MAP, ADD, KMAP, MAX_POOL, MEAN_POOL, COPY = range(12)

# The distance of the planes of an image that has bytes instead.
BYTES = 0

# Who runs a program: a thread alone, the one that leads others, and those from 1 on, who help with the steps that have parts.
ALONE, LEADER = -1, 0

# Values of a step's `quantizer`: none, the sign, or the number of bits of levels.
NONE, SIGN = -1, 0

# Adding and subtracting it rounds to an integer, ties to even, where |x| < 2^22: no call of a library, on no processor.
_ROUNDER = np.float32(1.5 * 2**23)


@njit
def _levels(x, bits):
    """Whole numbers 0 ... 2^bits - 1; NaN gives 0."""
    x = smaller(larger(x, fill_floats(np.float32(0.0))), fill_floats(np.float32(1.0)))
    rounder = fill_floats(_ROUNDER)
    return (fill_floats(np.float32((1 << bits) - 1)) * x + rounder) - rounder


@njit
def _put_signs(mi, half, plane, x, quantizer, valid):
    """Write the signs of 16 values to the half word `half`; lanes not in `valid` give 0."""
    store_half(mi, half, at_least(x, fill_floats(np.float32(0.0))) & valid)


@njit
def _put_planes(mi, half, plane, x, quantizer, valid):
    """Write the levels of 16 values to the half word `half` of each plane; lanes not in `valid` give 0."""
    level = to_ints(_levels(x, quantizer))
    for bit in range(quantizer):
        store_half(mi, half + 2 * plane * bit, any_common(level, fill_ints(np.int32(1 << bit))) & valid)


@njit
def _put_bytes(mi, half, plane, x, quantizer, valid):
    """Write the levels of 16 values as bytes, from the half word `half` on."""
    store_bytes(mi, half, to_ints(_levels(x, quantizer)))


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


def _packer(put, halves):
    """`pack` for one way to write 16 values, which take so many half words: a choice within its loop would cost a third of it."""

    @njit
    def pack(row, cf, mi, mf):
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
                    put(mi, half + v * halves, plane, values, quantizer, _valid_lanes(v, channels))
                if vectors % 2 and halves == 1:
                    _clear_half(mi, half + vectors, plane, quantizer)

    return pack


_pack_signs, _pack_planes, _pack_bytes = _packer(_put_signs, 1), _packer(_put_planes, 1), _packer(_put_bytes, 8)


@njit
def pack(row, cf, mi, mf):
    """Quantize a plain tensor, after an optional x * scale + shift, into the inside of an image of bits or bytes."""
    if row[9] == SIGN:
        _pack_signs(row, cf, mi, mf)
    elif row[8] == BYTES:
        _pack_bytes(row, cf, mi, mf)
    else:
        _pack_planes(row, cf, mi, mf)


@njit
def windows(row, mi):
    """Pack the bits of each window (kernel x kernel x fewer than 32 channels) densely: (height, words, width)."""
    source, row_step, step, height, width, words = row[1], row[2], row[3], row[4], row[5], row[6]
    kernel_height, kernel_width, tap_row, tap_step, bits, target = row[7], row[8], row[9], row[10], row[11], row[12]
    for y in range(height):
        for x in range(0, width, LANES):
            to = target + y * words * width + x
            word, filled = fill_ints(np.int32(0)), 0
            for i in range(kernel_height):
                for j in range(kernel_width):
                    at = source + y * row_step + x * step + i * tap_row + j * tap_step
                    pixel = load_ints(mi, at) if step == 1 else load_apart(mi, at, step)
                    word = word | pixel << fill_ints(np.int32(filled))
                    filled += bits
                    if filled >= 32:
                        store_ints(mi, to, word)
                        to += width
                        filled -= 32
                        word = fill_ints(np.int32(0))
                        if filled > 0:
                            word = pixel >> fill_ints(np.int32(bits - filled))
            if filled > 0:
                store_ints(mi, to, word)


@njit
def box(row, ci, mi):
    """The sum of all bytes of each window: of each pixel by itself, and then of the pixels of a window."""
    source, pixels, words, masks, chunks, sums = row[1], row[2], row[3], row[4], row[5], row[6]
    row_step, step, height, width = row[7], row[8], row[9], row[10]
    kernel_height, kernel_width, tap_row, tap_step, first, target = row[11], row[12], row[13], row[14], row[15], row[16]
    pairs, low = fill_ints(np.int32(0x00FF00FF)), fill_ints(np.int32(0xFFFF))
    byte, half = fill_ints(np.int32(8)), fill_ints(np.int32(16))
    for pixel in range(pixels):
        result = fill_ints(np.int32(0))
        for i in range(0, chunks * LANES, LANES):
            values = load_ints(mi, source + pixel * words + i) & load_ints(ci, masks + i)
            values = (values & pairs) + ((values >> byte) & pairs)
            result = result + (values & low) + (values >> half)
        mi[sums + pixel] = total_ints(result)
    for y in range(height):
        for x in range(0, width, LANES):
            result = fill_ints(np.int32(0))
            for i in range(kernel_height):
                for j in range(kernel_width):
                    at = first + y * row_step + x * step + i * tap_row + j * tap_step
                    result = result + (load_ints(mi, at) if step == 1 else load_apart(mi, at, step))
            # What the last vector of a row writes too much, the next row overwrites.
            store_ints(mi, target + y * width + x, result)


@njit
def _add_boxes(row, mi, first, last, sums, step):
    """sums + box, in their place, of windows `first` to `last`: where bytes need the sum of their inputs."""
    boxes = row[41]
    for position in range(first, last):
        store_ints(mi, sums, load_ints(mi, sums) + fill_ints(np.int32(mi[boxes + position])))
        sums += step


@njit
def _thresholds(row, ci, mi, top, bottom, vector, sums, step):
    """bits = (a >= threshold) ^ flip, of 16 filters and the windows of some rows."""
    width, vectors = row[4], row[5]
    base, row_classes, column_classes, classes = row[16], row[17], row[18], row[19]
    thresholds, flips, filters, bits, bits_row, bits_words = row[20], row[21], row[31], row[32], row[33], row[34]
    threshold = load_ints(ci, thresholds + vector * LANES)
    flip, valid = np.uint32(ci[flips + vector]), _valid_lanes(vector, filters)
    clear = vector == vectors - 1 and vectors % 2 == 1
    for y in range(top, bottom):
        first = base + (ci[row_classes + y] * classes * vectors + vector) * LANES
        half = 2 * (bits + y * bits_row) + vector
        for x in range(width):
            a = load_ints(ci, first + ci[column_classes + x] * vectors * LANES) - load_ints(mi, sums)
            store_half(mi, half, (at_least(a, threshold) ^ flip) & valid)
            if clear:
                store_half(mi, half + 1, np.uint32(0))
            half += 2 * bits_words
            sums += step


@njit
def _to_floats(row, ci, mi, mf, top, bottom, vector, sums, step):
    """The integer accumulator, in place of the sums."""
    width, vectors = row[4], row[5]
    base, row_classes, column_classes, classes = row[16], row[17], row[18], row[19]
    for y in range(top, bottom):
        first = base + (ci[row_classes + y] * classes * vectors + vector) * LANES
        for x in range(width):
            a = load_ints(ci, first + ci[column_classes + x] * vectors * LANES) - load_ints(mi, sums)
            store_floats(mf, sums, to_floats(a))
            sums += step


@njit
def _finish(row, cf, mf, first, last, vector, sums, step):
    """clamp((a scale [K] + bias) [scale' + shift']) [+ residual], in place, and to the tensor; of windows `first` to `last`."""
    kmap, affine, clamp, residual, target, channels, filters = row[24], row[25], row[27], row[28], row[29], row[30], row[31]
    channel = vector * LANES
    scale, bias = load_floats(cf, row[22] + channel), load_floats(cf, row[23] + channel)
    scale_2, shift_2 = fill_floats(np.float32(1.0)), fill_floats(np.float32(0.0))
    low, high = fill_floats(np.float32(-np.inf)), fill_floats(np.float32(np.inf))
    if affine >= 0:
        scale_2, shift_2 = load_floats(cf, affine + channel), load_floats(cf, row[26] + channel)
    if clamp >= 0:
        low, high = fill_floats(cf[clamp]), fill_floats(cf[clamp + 1])
    rest = filters - channel
    for position in range(first, last):
        output = position * channels + channel
        value = load_floats(mf, sums) * scale
        if kmap >= 0:
            value = value * fill_floats(mf[kmap + position])
        value = smaller(high, larger(low, (value + bias) * scale_2 + shift_2))
        if residual >= 0:
            value = value + load_floats(mf, residual + output)
        store_floats(mf, sums, value)
        if target >= 0 and rest >= LANES:
            store_floats(mf, target + output, value)
        elif target >= 0:
            for lane in range(rest):
                mf[target + output + lane] = mf[sums + lane]
        sums += step


def _writer(put, halves):
    """`_quantize` for one way to write 16 values, as `_packer`."""

    @njit
    def quantize(row, cf, mi, mf, top, bottom, vector, sums, step):
        width, vectors, filters, bits, bits_row, bits_words = row[4], row[5], row[31], row[32], row[33], row[34]
        plane, quantizer, scale_at, shift_at = row[35], row[36], row[37], row[38]
        valid = _valid_lanes(vector, filters)
        clear = halves == 1 and vector == vectors - 1 and vectors % 2 == 1
        scale, shift = fill_floats(np.float32(1.0)), fill_floats(np.float32(0.0))
        if scale_at >= 0:
            scale, shift = load_floats(cf, scale_at + vector * LANES), load_floats(cf, shift_at + vector * LANES)
        for y in range(top, bottom):
            half = 2 * (bits + y * bits_row) + vector * halves
            for _ in range(width):
                put(mi, half, plane, load_floats(mf, sums) * scale + shift, quantizer, valid)
                if clear:
                    _clear_half(mi, half + 1, plane, quantizer)
                half += 2 * bits_words
                sums += step

    return quantize


_write_signs, _write_planes, _write_bytes = _writer(_put_signs, 1), _writer(_put_planes, 1), _writer(_put_bytes, 8)


@njit
def _quantize(row, cf, mi, mf, top, bottom, vector, sums, step):
    """quantizer(value [scale'' + shift'']), as bits or bytes."""
    if row[36] == SIGN:
        _write_signs(row, cf, mi, mf, top, bottom, vector, sums, step)
    elif row[35] == BYTES:
        _write_bytes(row, cf, mi, mf, top, bottom, vector, sums, step)
    else:
        _write_planes(row, cf, mi, mf, top, bottom, vector, sums, step)


@njit
def parts(row):
    """Parts of a convolution, which any threads may compute in any order: some rows of windows times 32 filters each."""
    height, vectors, strip, most = row[3], row[5], row[39], row[40]
    return -(-height // strip) * -(-vectors // most)


@njit
def convolve(row, ci, cf, mi, mf, part, worker):
    """One of the `parts` of a convolution (or a product of matrices), and all that is folded into it.

    a = base - (sums [+ box])                           the integer accumulator, of bits or bytes; of floats, a = sums
    bits = (a >= threshold) ^ flip                      or:
    y = clamp((a scale [K] + bias) [scale' + shift']) [+ residual];   bits = quantizer(y [scale'' + shift''])
    """
    kind, positions, height, width, vectors = row[1], row[2], row[3], row[4], row[5]
    start, row_step, step, offsets, ends, segments = row[6], row[7], row[8], row[9], row[10], row[11]
    weights, masks, words, sums, strip, most = row[12], row[13], row[14], row[15], row[39], row[40]
    strips = -(-height // strip)
    v, top = part // strips * most, part % strips * strip
    bottom, count = min(top + strip, height), min(most, vectors - v)
    sums += max(worker, 0) * strip * width * most * LANES
    size = count * LANES
    first = v * words * LANES
    for y in range(top, bottom):
        for begin in range(0, width, positions):
            # The last tile of a row may overlap the one before: it computes the same sums again.
            x = min(begin, width - positions)
            accumulate(
                kind, positions, count, ci, cf, mi, mf, start + y * row_step + x * step, step, offsets, ends, segments,
                weights + first, masks + first, words, sums + ((y - top) * width + x) * size,
            )  # fmt: skip
    for i in range(count):
        of_vector = sums + i * LANES
        if row[41] >= 0:
            _add_boxes(row, mi, top * width, bottom * width, of_vector, size)
        if row[20] >= 0:
            _thresholds(row, ci, mi, top, bottom, v + i, of_vector, size)
            continue
        if kind != FLOAT:
            _to_floats(row, ci, mi, mf, top, bottom, v + i, of_vector, size)
        _finish(row, cf, mf, top * width, bottom * width, v + i, of_vector, size)
        if row[32] >= 0:
            _quantize(row, cf, mi, mf, top, bottom, v + i, of_vector, size)


@njit
def _quantized(x, quantizer):
    return signs(x) if quantizer == SIGN else _levels(x, quantizer)


@njit
def frame(row, mf):
    """Copy a plain tensor into the inside of a frame, quantized to whole numbers: signs, or levels 0 ... 2^bits - 1."""
    source, height, width, channels, target, row_step, quantizer = row[1], row[2], row[3], row[4], row[5], row[6], row[7]
    size = width * channels
    for y in range(height):
        for i in range(0, size, LANES):
            values = load_floats(mf, source + y * size + i)
            if quantizer != NONE:
                values = _quantized(values, quantizer)
            store_floats(mf, target + y * row_step + i, values)


@njit
def map_elements(row, cf, mf):
    """clamp(x [scale + shift]), or a quantizer with its values in [-1, 1]."""
    source, target, pixels, channels = row[1], row[2], row[3], row[4]
    scale, shift, clamp, quantizer = row[5], row[6], row[7], row[8]
    low, high = fill_floats(np.float32(-np.inf)), fill_floats(np.float32(np.inf))
    if clamp >= 0:
        low, high = fill_floats(cf[clamp]), fill_floats(cf[clamp + 1])
    n = fill_floats(np.float32((1 << max(quantizer, 1)) - 1))
    for i in range(0, pixels * channels, channels):
        for c in range(0, channels, LANES):
            values = load_floats(mf, source + i + c)
            if scale >= 0:
                values = values * load_floats(cf, scale + c) + load_floats(cf, shift + c)
            values = smaller(high, larger(low, values))
            if quantizer != NONE:
                values = _quantized(values, quantizer) / n
            # What the last vector of a pixel writes too much, the next pixel overwrites.
            store_floats(mf, target + i + c, values)


@njit
def add(row, mf):
    """a + b."""
    a, b, target, size = row[1], row[2], row[3], row[4]
    for i in range(0, size, LANES):
        store_floats(mf, target + i, load_floats(mf, a + i) + load_floats(mf, b + i))


@njit
def kmap(row, mf):
    """K: the mean of |x| over the channels, into the inside of a frame, and its mean over each window."""
    source, height, width, channels, inside, row_step = row[1], row[2], row[3], row[4], row[5], row[6]
    start, out_height, out_width, stride_y, stride_x = row[7], row[8], row[9], row[10], row[11]
    kernel_height, kernel_width, tap_row, tap_step, target = row[12], row[13], row[14], row[15], row[16]
    for y in range(height):
        for x in range(width):
            pixel = source + (y * width + x) * channels
            whole = channels // LANES * LANES
            sums = fill_floats(np.float32(0.0))
            for c in range(0, whole, LANES):
                values = load_floats(mf, pixel + c)
                sums = sums + larger(values, fill_floats(np.float32(0.0)) - values)
            magnitude = total(sums)
            for c in range(whole, channels):
                magnitude += abs(mf[pixel + c])
            mf[inside + y * row_step + x] = magnitude / np.float32(channels)
    share = np.float32(1.0) / np.float32(kernel_height * kernel_width)
    for y in range(out_height):
        for x in range(out_width):
            magnitude = np.float32(0.0)
            for i in range(kernel_height):
                for j in range(kernel_width):
                    magnitude += mf[start + y * stride_y + x * stride_x + i * tap_row + j * tap_step]
            mf[target + y * out_width + x] = magnitude * share


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
            count = fill_floats(np.float32((last_y - first_y) * (last_x - first_x)))
            for c in range(0, channels, LANES):
                result = fill_floats(np.float32(0.0) if mean else np.float32(-np.inf))
                for i in range(first_y, last_y):
                    for j in range(first_x, last_x):
                        values = load_floats(mf, source + (i * width + j) * channels + c)
                        result = result + values if mean else larger(result, values)
                if mean:
                    result = result / count
                store_floats(mf, to + c, result)


@njit
def copy(row, mf):
    """Copy rows of `size` numbers from steps of `source_step` to steps of `target_step`."""
    source, source_step, target, target_step, rows, size = row[1], row[2], row[3], row[4], row[5], row[6]
    for y in range(rows):
        for i in range(size):
            mf[target + y * target_step + i] = mf[source + y * source_step + i]


@njit
def _help(program, ci, cf, mi, mf, state, worker):
    """Compute parts of whatever step the leader has come to, until there are no more."""
    step, part = share.look(state)
    while step >= 0:
        if part >= 0:
            step, part = share.take(state)
            if step >= 0 and part >= 0:
                convolve(program[step], ci, cf, mi, mf, part, worker)
                share.done(state)
        step, part = share.look(state)


@njit
def _lead(program, ci, cf, mi, mf, state, step):
    """Compute all parts of a step, with whoever helps."""
    count = parts(program[step])
    share.publish(state, step, count)
    _, part = share.take(state)
    while part >= 0:
        convolve(program[step], ci, cf, mi, mf, part, LEADER)
        share.done(state)
        _, part = share.take(state)
    share.wait(state, count)


@njit
def _copy(source, start, target, to, count):
    """Copy floats, in vectors: numba's own loop over two arrays is six times slower."""
    whole = count // LANES * LANES
    for i in range(0, whole, LANES):
        store_floats(target, to + i, load_floats(source, start + i))
    for i in range(whole, count):
        target[to + i] = source[start + i]


@cached
def run(program, ci, cf, mi, mf, images, source, outputs, target, state, worker):
    """Run the program on each of `images` (n, size), read to memory at `source`; its results, at `target`, go to `outputs`.

    `worker` is ALONE, or there is a `share` state: LEADER, or the number of one that helps him and sees no images.
    """
    if worker > LEADER:
        _help(program, ci, cf, mi, mf, state, worker)
        return
    for n in range(images.shape[0]):
        _copy(images[n], 0, mf, source, images.shape[1])
        for s in range(program.shape[0]):
            row = program[s]
            step = row[0]
            if step == CONVOLVE and worker == ALONE:
                for part in range(parts(row)):
                    convolve(row, ci, cf, mi, mf, part, worker)
            elif step == CONVOLVE:
                _lead(program, ci, cf, mi, mf, state, s)
            elif step == PACK:
                pack(row, cf, mi, mf)
            elif step == FILL:
                fill(row, mi)
            elif step == WINDOWS:
                windows(row, mi)
            elif step == BOX:
                box(row, ci, mi)
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
            elif step in (MAX_POOL, MEAN_POOL):
                pool(row, mf)
            else:
                raise ValueError("a step that is none of the runtime's")
        _copy(mf, target, outputs[n], 0, outputs.shape[1])
    if worker == LEADER:
        share.finish(state)


@cached
def decode(pixels, table, images):
    """uint8 pixels (n, size) to float32, by `table` (channels, 256)."""
    channels = table.shape[0]
    for n in range(pixels.shape[0]):
        for begin in range(0, pixels.shape[1], channels):
            for c in range(channels):
                images[n, begin + c] = table[c, pixels[n, begin + c]]
