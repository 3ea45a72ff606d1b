"""What a 3x3 convolution of levels by Winograd's F(4x4, 3x3) in 16 bits reads: see `compiled.winograd_square`."""

import numpy as np

from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import is_3x3
from tfq.runtime.plan.windows import windows
from tfq.runtime.program import packing
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.steps import NUMBERS_OF_FOUR, ROWS_OF_FOUR, TAPS_BESIDE, WINOGRAD_SQUARE, At, Buffer
from tfq.runtime.program.sums import Sums
from tfq.runtime.program.winograd_four import OF_KERNELS, shared_vectors

# Tiles that are computed together.
_TILES = 16
# Fewest tiles that make up for weights eight times as large, which come from far.
_FEWEST_TILES = 16
# Tiles that are computed at once.
_AT_ONCE = 4
# The largest that B^T d B is, of levels up to 1.
_LARGEST_OF_INPUTS = 68
_LARGEST = 2**15 - 1
# Results that are left of 32 bits when they have been 64 times as large.
_RESULTS = 2**25


def square_sums(builder: Builder, node) -> Sums | None:
    """`Sums` of -x w, levels x; None where they do not fit, or would not gain.

    The weights are (vectors, 6 of columns, words, 6 of rows, 16), two channels a word.
    """
    found, *_ = windows(node, builder.plan.shapes[node.inputs[0]])
    height, width = (window.out for window in found)
    fit = is_3x3(node) and builder.tile.vectors > 1 and height % ROWS_OF_FOUR == width % ROWS_OF_FOUR == 0
    if not fit or not _has_enough_tiles(height // ROWS_OF_FOUR, width // ROWS_OF_FOUR) or min(node.kernel.shape[2:]) < LANES:
        return None
    values, highest = packing.integers(node.kernel), int(node.quantizer.highest)
    _, channels, filters = values.shape
    numbers = np.einsum("ik,jx,kxcf->jicf", OF_KERNELS, OF_KERNELS, -values.reshape(3, TAPS_BESIDE, channels, filters))
    reach = max(np.maximum(sign * values, 0).sum(axis=(0, 1)).max() for sign in (1, -1)) * highest
    if np.abs(numbers).max() > _LARGEST or _LARGEST_OF_INPUTS * highest > _LARGEST or reach >= _RESULTS:
        return None
    weights = packing.interleave(packing.signed_halves(numbers.reshape(-1, channels, filters)))
    vectors, words = len(weights), -(-channels // 2)
    weights = weights.reshape(vectors, NUMBERS_OF_FOUR, NUMBERS_OF_FOUR, words, LANES).transpose(0, 1, 3, 2, 4)
    unused = np.arange(words, dtype=np.int32), np.array([0, words], np.int32)
    return Sums(WINOGRAD_SQUARE, *unused, weights.reshape(vectors, -1, LANES), None)


def _together(rows, columns):
    """Rows of tiles that are computed together."""
    return min(rows, -(-_TILES // columns))


def _has_enough_tiles(rows, columns):
    """Whether there are as many tiles as gain, and the last of them as many as are computed at once."""
    last = rows % _together(rows, columns) or _together(rows, columns)
    return rows * columns >= _FEWEST_TILES and last * columns >= _AT_ONCE


def square_numbers(builder: Builder, geometry: Geometry, sums: Sums, highest: int) -> dict[str, At | int]:
    """The numbers of a `Convolve` that squares of windows need."""
    height, width = geometry.out
    together = _together(height // ROWS_OF_FOUR, width // ROWS_OF_FOUR)
    strip, vectors = together * ROWS_OF_FOUR, builder.tile.vectors
    tiles, pixel = together * width // ROWS_OF_FOUR, 2 * geometry.pixel
    rows = NUMBERS_OF_FOUR * ((width + TAPS_BESIDE) * pixel + LANES)
    numbers = NUMBERS_OF_FOUR**2 * (tiles * pixel + LANES)
    of_columns = NUMBERS_OF_FOUR * tiles * ROWS_OF_FOUR * vectors * LANES
    return {
        "strip": strip,
        "strip_vectors": shared_vectors(builder, len(sums.weights), -(-height // strip)),
        "sums": At(Buffer("sums", builder.threads * strip * width * vectors * LANES)),
        "words": len(sums.offsets),
        "transformed": At(Buffer("transformed", builder.threads * (rows + numbers + of_columns))),
    }
