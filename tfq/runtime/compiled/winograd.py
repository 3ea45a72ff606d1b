"""A 3x3 convolution by Winograd's F(2x2, 3x3): 16 products for the 36 of four windows, in float32 or of bytes.

`along_columns` has another form of it, for 5 rows of taps. One loop serves both.

    Y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A

The 4 x 4 inputs d that four windows see become 16 numbers a channel. Each of the 16 is a product of matrices by itself, of tiles
times channels times filters. The 16 sums m of a tile become its four results.

Levels stay whole numbers: four times G g G^T is one too, and a quarter of the sums is exact. A byte holds what becomes of levels,
with so much added that it is not negative. What the sums have too much for that is the same for all tiles.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, section 4.1.
"""

import numpy as np

from tfq.runtime.compiled.along_columns import collect, combine
from tfq.runtime.compiled.pairs import finish_two, takes
from tfq.runtime.compiled.results import finish, threshold
from tfq.runtime.compiled.tile import accumulate_tiles
from tfq.runtime.compiled.vector import INTS, fill_ints, ints, load_floats, load_ints, store_floats, store_ints
from tfq.runtime.jit import inlined, intrinsic, ir, njit
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import BYTES, FLOAT, NUMBERS_OF_A_COLUMN, NUMBERS_OF_A_TILE, WINOGRAD_BYTES


@njit
def convolve_tiles(step, ci, cf, mi, mf, part, worker):
    """One of the parts of a `Convolve` on tiles, or along columns; helpers, from 1 on, have memory of their own."""
    width, strip, words, columns, block = step.width, step.strip, step.words, step.columns, step.block
    of_a_strip = -(-step.vectors // step.strip_vectors)
    first, top = part % of_a_strip * step.strip_vectors, part // of_a_strip * strip
    bottom, end = min(top + strip, step.height), min(first + step.strip_vectors, step.vectors)
    start, height, thread, is_along_columns = step.start + top * step.step_y, bottom - top, max(worker, 0), block > 0
    # What the inner loops read: `numbers` matrices that are `apart`, of `across` windows or tiles that are `step_x` apart.
    weights, ends, step_x, rows = step.weights, step.ends, step.step_x, 1
    if is_along_columns:
        numbers, together, across, apart = NUMBERS_OF_A_COLUMN, width, block, step.line
    else:
        # The last strip computes with as many tiles as the others: what is not there is not read.
        numbers, together, step_x = NUMBERS_OF_A_TILE, strip // 2 * columns, -(-words // LANES) * LANES
        # A vector more between two of the 16 numbers: at a power of 2 they would all fall into the same places of the cache.
        across, apart = together, together * step_x + LANES
    transformed = step.transformed + thread * numbers * apart
    most = numbers * (across * step.tile_vectors + 1) * LANES
    sums = step.sums + thread * (most + strip * width * step.tile_vectors * LANES)
    results = sums + most
    on_floats, is_transformed = step.kind != WINOGRAD_BYTES, True
    kind = FLOAT if on_floats else BYTES
    if is_along_columns:
        is_transformed = combine(step, cf, mf, start, transformed)
    elif on_floats:
        _transform_floats(step, mf, start, (height + 1) // 2, transformed, apart)
    else:
        _transform_levels(step, mi, start, (height + 1) // 2, transformed, apart)
    if not is_transformed:  # direct sums of these rows
        transformed, numbers, across, rows = start, 1, width, height
        weights, words, ends = step.direct_weights, step.direct_words, step.direct_ends
    for v in range(first, end, step.tile_vectors):
        count = min(step.tile_vectors, end - v)
        of_a_number = (across * count + 1) * LANES
        for x in range(0, together, across):
            left = min(x, together - across)  # the last ones may overlap those before
            for number in range(numbers):
                kernel = weights + (number * step.vectors + v) * words * LANES
                source, target = transformed + number * apart + left * step_x, sums + number * of_a_number
                accumulate_tiles(
                    kind, step.positions, count, ci, cf, mi, mf, source, step.step_y, step_x, rows, across,
                    step.offsets, ends, step.segments, kernel, kernel, words, target if is_transformed else results,
                )  # fmt: skip
            if is_along_columns and is_transformed:
                collect(mf, sums, of_a_number, across * count, results + left * count * LANES, width * count * LANES)
        if not is_along_columns:
            if on_floats:
                _floats_back(mf, sums, of_a_number, columns, count, height, width, results, ci, 0)
            else:
                _levels_back(mi, sums, of_a_number, columns, count, height, width, results, ci, step.surplus + 4 * v * LANES)
        if step.thresholds < 0 and takes(step, v, count):
            finish_two(step, ci, cf, mi, mf, top, bottom, v, count, results)
        else:
            for i in range(count):
                if step.thresholds >= 0:
                    threshold(step, ci, mi, top, bottom, v + i, results + i * LANES, count * LANES)
                else:
                    finish(step, ci, cf, mi, mf, top, bottom, v + i, results + i * LANES, count * LANES)


@inlined
def _of_inputs(a, b, c, d):
    """B^T times four vectors."""
    return a - c, b + c, c - b, b - d


@inlined
def _of_levels(a, b, c, d, more):
    """Likewise, plus `more` where it may be negative."""
    return a + more - c, b + c, c + more - b, b + more - d


@inlined
def _of_sums(a, b, c, d):
    """A^T times four vectors."""
    return a + b + c, b - c - d


def _four(load, store):
    """Functions that load and store four vectors that lie apart."""

    @inlined
    def load_four(memory, at, apart):
        return load(memory, at), load(memory, at + apart), load(memory, at + 2 * apart), load(memory, at + 3 * apart)

    @inlined
    def store_four(memory, at, apart, vectors):
        store(memory, at, vectors[0])
        store(memory, at + apart, vectors[1])
        store(memory, at + 2 * apart, vectors[2])
        store(memory, at + 3 * apart, vectors[3])

    return load_four, store_four


_load_floats, _store_floats = _four(load_floats, store_floats)
_load_ints, _store_ints = _four(load_ints, store_ints)


@njit
def _transform_floats(step, mf, start, rows, target, apart):
    """B^T d B of each tile and channel, number by number; from one number to the next are `apart` elements."""
    step_y, step_x = step.step_y, step.step_x
    for row in range(rows):
        for column in range(step.columns):
            tile = start + 2 * (row * step_y + column * step_x)
            for at in range(tile, tile + step.words, LANES):
                a = _of_inputs(*_load_floats(mf, at, step_y))
                b = _of_inputs(*_load_floats(mf, at + step_x, step_y))
                c = _of_inputs(*_load_floats(mf, at + 2 * step_x, step_y))
                d = _of_inputs(*_load_floats(mf, at + 3 * step_x, step_y))
                _store_floats(mf, target, apart, _of_inputs(a[0], b[0], c[0], d[0]))
                _store_floats(mf, target + 4 * apart, apart, _of_inputs(a[1], b[1], c[1], d[1]))
                _store_floats(mf, target + 8 * apart, apart, _of_inputs(a[2], b[2], c[2], d[2]))
                _store_floats(mf, target + 12 * apart, apart, _of_inputs(a[3], b[3], c[3], d[3]))
                target += LANES


@njit
def _transform_levels(step, mi, start, rows, target, apart):
    """Likewise of levels, four in a word. No byte leaves 0 ... 255, so none meets the next one."""
    step_y, step_x = step.step_y, step.step_x
    once = fill_ints(np.int32(step.highest))
    twice = once + once
    for row in range(rows):
        for column in range(step.columns):
            tile = start + 2 * (row * step_y + column * step_x)
            for at in range(tile, tile + step.words, LANES):
                a = _of_levels(*_load_ints(mi, at, step_y), once)
                b = _of_levels(*_load_ints(mi, at + step_x, step_y), once)
                c = _of_levels(*_load_ints(mi, at + 2 * step_x, step_y), once)
                d = _of_levels(*_load_ints(mi, at + 3 * step_x, step_y), once)
                _store_ints(mi, target, apart, _of_levels(a[0], b[0], c[0], d[0], twice))
                _store_ints(mi, target + 4 * apart, apart, _of_levels(a[1], b[1], c[1], d[1], twice))
                _store_ints(mi, target + 8 * apart, apart, _of_levels(a[2], b[2], c[2], d[2], twice))
                _store_ints(mi, target + 12 * apart, apart, _of_levels(a[3], b[3], c[3], d[3], twice))
                target += LANES


@intrinsic
def _quarter(typingctx, vector):
    """A quarter of multiples of 4."""
    return ints(ints), lambda context, builder, signature, args: builder.ashr(args[0], ir.Constant(INTS, [2] * LANES))


@inlined
def _as_it_is(value, ci, surplus):
    return value


@inlined
def _without_surplus(value, ci, surplus):
    return _quarter(value - load_ints(ci, surplus))


def _back(load_four, store, finished):
    """From the sums of tiles to those of windows."""

    @njit
    def transform_back(memory, sums, apart, columns, vectors, rows, width, target, ci, surplus):
        """A^T m A of each tile and filter, as (rows, width, vectors, 16)."""
        beside = vectors * LANES
        for row in range(0, rows, 2):
            for column in range(columns):
                tile, to = sums + (row // 2 * columns + column) * beside, target + (row * width + 2 * column) * beside
                for i in range(0, beside, LANES):
                    a = _of_sums(*load_four(memory, tile + i, 4 * apart))
                    b = _of_sums(*load_four(memory, tile + i + apart, 4 * apart))
                    c = _of_sums(*load_four(memory, tile + i + 2 * apart, 4 * apart))
                    d = _of_sums(*load_four(memory, tile + i + 3 * apart, 4 * apart))
                    upper, lower = _of_sums(a[0], b[0], c[0], d[0]), _of_sums(a[1], b[1], c[1], d[1])
                    at, of_filters = to + i, surplus + 4 * i
                    store(memory, at, finished(upper[0], ci, of_filters))
                    if 2 * column + 1 < width:
                        store(memory, at + beside, finished(upper[1], ci, of_filters + LANES))
                    if row + 1 < rows:
                        store(memory, at + width * beside, finished(lower[0], ci, of_filters + 2 * LANES))
                        if 2 * column + 1 < width:
                            store(memory, at + (width + 1) * beside, finished(lower[1], ci, of_filters + 3 * LANES))

    return transform_back


_floats_back = _back(_load_floats, store_floats, _as_it_is)
_levels_back = _back(_load_ints, store_ints, _without_surplus)
