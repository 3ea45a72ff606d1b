"""A 3x3 convolution in float32 by Winograd's F(2x2, 3x3): 16 products for the 36 of four windows.

    Y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A

The 4 x 4 inputs d that four windows see become 16 numbers a channel. Each of the 16 is a product of matrices by itself, of tiles
times channels times filters. The 16 sums m of a tile become its four results.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, section 4.1.
"""

from tfq.runtime.compiled.results import finish
from tfq.runtime.compiled.tile import accumulate_floats
from tfq.runtime.compiled.vector import load_floats, store_floats
from tfq.runtime.jit import inlined, njit
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import FLOAT, NUMBERS_OF_A_TILE


@njit
def convolve_tiles(step, ci, cf, mi, mf, part, worker):
    """One of the parts of a `Convolve` of WINOGRAD; helpers, from 1 on, have memory of their own."""
    width, strip, words, columns = step.width, step.strip, step.words, step.columns
    of_a_strip = -(-step.vectors // step.strip_vectors)
    first, top = part % of_a_strip * step.strip_vectors, part // of_a_strip * strip
    bottom, end = min(top + strip, step.height), min(first + step.strip_vectors, step.vectors)
    # The last strip computes with as many tiles as the others: what is not there is not read.
    tiles, pitch, thread = strip // 2 * columns, -(-words // LANES) * LANES, max(worker, 0)
    # A vector more between two of the 16 numbers: at a power of 2 they would all fall into the same places of the cache.
    apart = tiles * pitch + LANES
    transformed = step.transformed + thread * NUMBERS_OF_A_TILE * apart
    most = NUMBERS_OF_A_TILE * (tiles * step.tile_vectors + 1) * LANES
    sums = step.sums + thread * (most + strip * width * step.tile_vectors * LANES)
    _transform(step, mf, step.start + top * step.step_y, (bottom - top + 1) // 2, transformed, apart)
    for v in range(first, end, step.tile_vectors):
        count = min(step.tile_vectors, end - v)
        of_a_number = (tiles * count + 1) * LANES
        for number in range(NUMBERS_OF_A_TILE):
            weights = step.weights + (number * step.vectors + v) * words * LANES
            accumulate_floats(
                FLOAT, step.positions, count, ci, cf, mi, mf, transformed + number * apart, 0, pitch, 1, tiles,
                step.offsets, step.ends, step.segments, weights, weights, words, sums + number * of_a_number,
            )  # fmt: skip
        _transform_back(mf, sums, of_a_number, columns, count, bottom - top, width, sums + most)
        for i in range(count):
            finish(step, ci, cf, mi, mf, top, bottom, v + i, sums + most + i * LANES, count * LANES)


@inlined
def _of_inputs(a, b, c, d):
    """B^T times four vectors."""
    return a - c, b + c, c - b, b - d


@inlined
def _of_sums(a, b, c, d):
    """A^T times four vectors."""
    return a + b + c, b - c - d


@inlined
def _load_four(mf, at, apart):
    return load_floats(mf, at), load_floats(mf, at + apart), load_floats(mf, at + 2 * apart), load_floats(mf, at + 3 * apart)


@inlined
def _store_four(mf, at, apart, vectors):
    store_floats(mf, at, vectors[0])
    store_floats(mf, at + apart, vectors[1])
    store_floats(mf, at + 2 * apart, vectors[2])
    store_floats(mf, at + 3 * apart, vectors[3])


@njit
def _transform(step, mf, start, rows, target, apart):
    """B^T d B of each tile and channel, number by number; from one number to the next are `apart` elements."""
    step_y, step_x = step.step_y, step.step_x
    for row in range(rows):
        for column in range(step.columns):
            tile = start + 2 * (row * step_y + column * step_x)
            for at in range(tile, tile + step.words, LANES):
                a = _of_inputs(*_load_four(mf, at, step_y))
                b = _of_inputs(*_load_four(mf, at + step_x, step_y))
                c = _of_inputs(*_load_four(mf, at + 2 * step_x, step_y))
                d = _of_inputs(*_load_four(mf, at + 3 * step_x, step_y))
                _store_four(mf, target, apart, _of_inputs(a[0], b[0], c[0], d[0]))
                _store_four(mf, target + 4 * apart, apart, _of_inputs(a[1], b[1], c[1], d[1]))
                _store_four(mf, target + 8 * apart, apart, _of_inputs(a[2], b[2], c[2], d[2]))
                _store_four(mf, target + 12 * apart, apart, _of_inputs(a[3], b[3], c[3], d[3]))
                target += LANES


@njit
def _transform_back(mf, sums, apart, columns, vectors, rows, width, target):
    """A^T m A of each tile and filter, as the sums of single windows: (rows, width, vectors, 16)."""
    beside = vectors * LANES
    for row in range(0, rows, 2):
        for column in range(columns):
            tile, to = sums + (row // 2 * columns + column) * beside, target + (row * width + 2 * column) * beside
            for i in range(0, beside, LANES):
                a = _of_sums(*_load_four(mf, tile + i, 4 * apart))
                b = _of_sums(*_load_four(mf, tile + i + apart, 4 * apart))
                c = _of_sums(*_load_four(mf, tile + i + 2 * apart, 4 * apart))
                d = _of_sums(*_load_four(mf, tile + i + 3 * apart, 4 * apart))
                upper, lower = _of_sums(a[0], b[0], c[0], d[0]), _of_sums(a[1], b[1], c[1], d[1])
                store_floats(mf, to + i, upper[0])
                if 2 * column + 1 < width:
                    store_floats(mf, to + i + beside, upper[1])
                if row + 1 < rows:
                    store_floats(mf, to + i + width * beside, lower[0])
                    if 2 * column + 1 < width:
                        store_floats(mf, to + i + (width + 1) * beside, lower[1])
