"""A float32 convolution by Winograd's F(4, 5) along columns: 8 products for the 20 of four windows below each other.

    y = A^T [ sum over channels and columns of (G g) * (B^T d) ]

The 8 rows d that four windows see become 8 combined rows. Windows slide along each of them as along a row of the image, so the
inner loop is that of direct sums, with G g for weights. The 8 sums m of a window become those of the four.

A number that is not finite would reach all four windows. So rows with one, or with one so large that sums could overflow, are
left to direct sums. `winograd.convolve_tiles` is the loop around these functions.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, section 4.
"""

import numpy as np

from tfq.runtime.compiled.vector import add_product, at_least, fill_floats, load_floats, store_floats
from tfq.runtime.jit import njit
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import NUMBERS_OF_A_COLUMN


@njit
def combine(step, cf, mf, start, target):
    """B^T d of the 8 rows from `start` on, one row behind the other; whether all numbers are small enough."""
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
def collect(mf, sums, apart, vectors, target, below):
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
