"""What a 3x3 convolution by Winograd's F(2x2, 3x3) reads: see `compiled.winograd`."""

import numpy as np

from tfq.runtime.lanes import LANES
from tfq.runtime.plan.windows import windows
from tfq.runtime.program import packing
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.steps import NUMBERS_OF_A_TILE, POSITIONS, WINOGRAD, At, Buffer
from tfq.runtime.program.sums import Sums

# Tiles that are computed together: fewer would read the weights from far too often, more would not stay near.
_TILES = 16
# Parts for each thread, so that the last ones end at about the same time.
_PARTS_A_THREAD = 2
# G of F(2x2, 3x3).
_OF_KERNELS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def has_enough_tiles(builder: Builder, node) -> bool:
    """Whether the inner loops find as many tiles as they take at once."""
    height, width = (window.out for window in windows(node, builder.plan.shapes[node.inputs[0]])[0])
    return -(-height // 2) * -(-width // 2) >= max(POSITIONS)


def winograd_sums(values: np.ndarray) -> Sums:
    """`Sums` of 16 products of matrices, of the kernel `values` (9, in, out).

    The weights are (16, vectors, in, 16), those of number 4 i + j of a tile being (G g G^T)_ij.
    """
    _, channels, filters = values.shape
    kernel = values.astype(np.float64).reshape(3, 3, channels, filters)
    numbers = np.einsum("ik,jl,klcf->ijcf", _OF_KERNELS, _OF_KERNELS, kernel).reshape(-1, channels, filters)
    weights = np.stack([packing.interleave(number.T.astype(np.float32)) for number in numbers])
    return Sums(WINOGRAD, np.arange(channels, dtype=np.int32), np.array([0, channels], np.int32), weights, None)


def tile_numbers(builder: Builder, geometry: Geometry, sums: Sums) -> dict[str, At | int]:
    """The numbers of a `Convolve` that its tiles need."""
    height, width = geometry.out
    rows, columns = -(-height // 2), -(-width // 2)
    _, vectors, words, _ = sums.weights.shape
    together = min(rows, -(-_TILES // columns))
    tiles, of_a_window = together * columns, builder.tile.vectors * LANES
    of_sums, of_inputs = tiles * of_a_window + LANES, tiles * (words + -words % LANES) + LANES
    # All filters of some tiles belong together, so that these are transformed once, unless threads would have nothing to do.
    groups, strips = -(-vectors // builder.tile.vectors), -(-rows // together)
    shares = min(groups, -(-_PARTS_A_THREAD * builder.threads // strips)) if builder.threads > 1 else 1
    return {
        "positions": next(count for count in POSITIONS if count <= builder.tile.positions),
        "strip": 2 * together,
        "strip_vectors": -(-groups // shares) * builder.tile.vectors,
        "columns": columns,
        "tile_vectors": builder.tile.vectors,
        "sums": At(Buffer("sums", builder.threads * (NUMBERS_OF_A_TILE * of_sums + 2 * together * width * of_a_window))),
        "transformed": At(Buffer("transformed", builder.threads * NUMBERS_OF_A_TILE * of_inputs)),
    }
