"""A float32 convolution by Winograd's F(4, 5) along columns: 8 products for the 20 of four windows below each other.

    y = A^T [ sum over channels and columns of (G g) * (B^T d) ]

The 8 rows d that four windows see become 8 combined rows. Windows slide along each of them as along a row of the image, so the
inner loop is that of direct sums, with G g for weights. The 8 sums m of a window become those of the four.

A number that is not finite would reach all four windows. So rows with one, or with one so large that sums could overflow, are
left to direct sums.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, section 4.
"""

import numpy as np

from tfq.runtime.compiled.call import arrays, call_results
from tfq.runtime.compiled.convolve import as_convolve, results
from tfq.runtime.compiled.tile import accumulator
from tfq.runtime.compiled.vector import add_product, at_least, fill_floats, load_floats, store_floats
from tfq.runtime.jit import njit, outermost
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import FLOAT, NUMBERS_OF_A_COLUMN, WINDOWS_OF_A_COLUMN

_accumulate = accumulator(FLOAT)


@outermost
def convolve_along_columns(row, data, table, part, worker):
    """One of the parts of a `Convolve` along columns; helpers, from 1 on, have memory of their own."""
    step, (ci, cf, mi, mf) = as_convolve(row), arrays(data)
    width, block = step.width, step.block
    of_a_strip = -(-step.vectors // step.strip_vectors)
    begin, top = part % of_a_strip * step.strip_vectors, part // of_a_strip * WINDOWS_OF_A_COLUMN
    bottom, end, thread = (
        min(top + WINDOWS_OF_A_COLUMN, step.height),
        min(begin + step.strip_vectors, step.vectors),
        max(worker, 0),
    )
    # A vector more between the sums of two numbers: at a power of 2 they would all fall into the same places of the cache.
    apart = (block * step.tile_vectors + 1) * LANES
    sums = step.sums + thread * (NUMBERS_OF_A_COLUMN * apart + WINDOWS_OF_A_COLUMN * width * step.tile_vectors * LANES)
    results_at = sums + NUMBERS_OF_A_COLUMN * apart
    start, combined = step.start + top * step.step_y, step.combined + thread * NUMBERS_OF_A_COLUMN * step.line
    numbers, step_y, rows, to = NUMBERS_OF_A_COLUMN, step.line, 1, sums
    weights, words, ends = step.line_weights, step.line_words, step.line_ends
    is_small = _combine(step, cf, mf, start, combined)
    if is_small:
        start = combined
    else:
        numbers, step_y, rows, block, to = 1, step.step_y, bottom - top, width, results_at
        weights, words, ends = step.weights, step.words, step.ends
    for v in range(begin, end, step.tile_vectors):
        count = min(step.tile_vectors, end - v)
        for x in range(0, width, block):
            left = min(x, width - block)  # the last block may overlap the one before
            for number in range(numbers):
                kernel, first = (
                    weights + (number * step.vectors + v) * words * LANES,
                    start + number * step_y + left * step.step_x,
                )
                _accumulate(
                    step.positions, count, ci, cf, mi, mf, first, step_y, step.step_x, rows, block,
                    step.offsets, ends, step.segments, kernel, kernel, words, to + number * apart,
                )  # fmt: skip
            if is_small:
                _collect(mf, sums, apart, block * count, results_at + left * count * LANES, width * count * LANES)
        call_results(table, results(step), (row, data, top, bottom, v, count, results_at))


@njit
def _combine(step, cf, mf, start, target):
    """B^T d of the rows from `start` on, one row behind the other; whether all of them are small enough."""
    line, step_y = step.line, step.step_y
    highest = fill_floats(cf[step.factors])
    lowest = fill_floats(np.float32(0.0)) - highest
    small = np.uint32(0xFFFF)
    for x in range(0, line, LANES):
        # The last vector overlaps the one before: what is behind the row may be anything.
        at = min(x, line - LANES)
        for number in range(NUMBERS_OF_A_COLUMN):
            matrix = step.factors + 1 + number * NUMBERS_OF_A_COLUMN
            total = fill_floats(np.float32(0.0))
            for k in range(NUMBERS_OF_A_COLUMN):
                total = add_product(fill_floats(cf[matrix + k]), load_floats(mf, start + k * step_y + at), total)
            store_floats(mf, target + number * line + at, total)
            small &= at_least(highest, total) & at_least(total, lowest)
    return small == np.uint32(0xFFFF)


@njit
def _collect(mf, sums, apart, vectors, target, below):
    """A^T m of so many vectors: the points are 0, 1/2, -1/2, 1, -1, 2, -2 and infinity."""
    half, quarter, eighth = fill_floats(np.float32(0.5)), fill_floats(np.float32(0.25)), fill_floats(np.float32(0.125))
    two, four, eight = fill_floats(np.float32(2.0)), fill_floats(np.float32(4.0)), fill_floats(np.float32(8.0))
    for at in range(sums, sums + vectors * LANES, LANES):
        a, b = load_floats(mf, at + apart), load_floats(mf, at + 2 * apart)
        c, d = load_floats(mf, at + 3 * apart), load_floats(mf, at + 4 * apart)
        e, f = load_floats(mf, at + 5 * apart), load_floats(mf, at + 6 * apart)
        of_halves, of_ones, of_twos = a + b, c + d, e + f
        store_floats(mf, target, load_floats(mf, at) + of_halves + of_ones + of_twos)
        store_floats(mf, target + 2 * below, add_product(four, of_twos, add_product(quarter, of_halves, of_ones)))
        of_halves, of_ones, of_twos = a - b, c - d, e - f
        store_floats(mf, target + below, add_product(two, of_twos, add_product(half, of_halves, of_ones)))
        last = load_floats(mf, at + 7 * apart) + of_ones
        store_floats(mf, target + 3 * below, add_product(eight, of_twos, add_product(eighth, of_halves, last)))
        target += LANES
