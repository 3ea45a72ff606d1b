"""What a 3x3 convolution by Winograd's F(2x2, 3x3) reads, of floats and of levels in bytes: see `compiled.winograd`."""

import numpy as np

from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import on_tiles
from tfq.runtime.plan.windows import windows
from tfq.runtime.program import packing
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.steps import NOWHERE, NUMBERS_OF_A_TILE, POSITIONS, WINOGRAD, WINOGRAD_BYTES, At, Buffer
from tfq.runtime.program.sums import Sums

# Tiles that are computed together: fewer would read the weights from far too often, more would not stay near.
_TILES = 16
# Parts for each thread, so that the last ones end at about the same time.
_PARTS_A_THREAD = 2
# G of F(2x2, 3x3).
_OF_KERNELS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
# A^T of it.
_OF_SUMS = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
# Channels from which on bytes gain: with fewer, what is done to the sums takes longer than the products that are saved.
_FEWEST_CHANNELS_OF_BYTES = 64
_LARGEST_BYTE = 127
_SUM_OF_FOUR = 5  # number (1, 1) of a tile


def has_enough_tiles(builder: Builder, node) -> bool:
    """Whether the inner loops find as many tiles as they take at once."""
    height, width = _windows(builder, node)
    return -(-height // 2) * -(-width // 2) >= max(POSITIONS)


def _windows(builder, node):
    return tuple(window.out for window in windows(node, builder.plan.shapes[node.inputs[0]])[0])


def winograd_sums(values: np.ndarray) -> Sums:
    """`Sums` of 16 products of matrices, of the kernel `values` (9, in, out).

    The weights are (16, vectors, in, 16), those of number 4 i + j of a tile being (G g G^T)_ij.
    """
    channels = values.shape[1]
    weights = np.stack([packing.interleave(number.T.astype(np.float32)) for number in _numbers(values)])
    return Sums(WINOGRAD, np.arange(channels, dtype=np.int32), np.array([0, channels], np.int32), weights, None)


def _numbers(values):
    """G g G^T, float64 (16, in, out)."""
    _, channels, filters = values.shape
    kernel = values.astype(np.float64).reshape(3, 3, channels, filters)
    return np.einsum("ik,jl,klcf->ijcf", _OF_KERNELS, _OF_KERNELS, kernel).reshape(-1, channels, filters)


def winograd_byte_sums(builder: Builder, node) -> Sums | None:
    """`Sums` of -x w on bytes, levels x; None where they do not fit bytes, or would not gain.

    The weights are four times -(G g G^T). Of b bits, B^T d B is 2 n below zero to 4 n above, n = 2^b - 1, and the byte has 2 n
    added; but number (1, 1), a sum of four levels.
    """
    highest, channels = int(node.quantizer.highest), node.kernel.shape[-2]
    even = all(length % 2 == 0 for length in _windows(builder, node))
    if not (on_tiles(node) and even and has_enough_tiles(builder, node) and channels >= _FEWEST_CHANNELS_OF_BYTES):
        return None
    numbers = np.rint(-4 * _numbers(packing.integers(node.kernel))).astype(np.int64)
    # Four times the sums fit 32 bits.
    largest = np.abs(packing.integers(node.kernel)).sum(axis=(0, 1)).max() * highest
    if 4 * highest > 255 or np.abs(numbers).max() > _LARGEST_BYTE or largest >= 2**29:
        return None
    weights = np.stack([packing.interleave(packing.signed_bytes(number[None])) for number in numbers])
    added = np.full(NUMBERS_OF_A_TILE, 2 * highest)
    added[_SUM_OF_FOUR] = 0
    totals = (added[:, None] * numbers.sum(axis=1)).reshape(4, 4, -1)
    surplus = np.einsum("pi,qj,ijf->pqf", _OF_SUMS, _OF_SUMS, totals).reshape(4, -1)
    surplus = packing.interleave(surplus.T.astype(np.int32))
    words = weights.shape[2]
    return Sums(WINOGRAD_BYTES, np.arange(words, dtype=np.int32), np.array([0, words], np.int32), weights, None, surplus=surplus)


def tile_numbers(builder: Builder, geometry: Geometry, sums: Sums, highest: int = 0) -> dict[str, At | int]:
    """The numbers of a `Convolve` that its tiles need; `highest` is the highest level, of bytes."""
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
        "highest": highest * 0x01010101,
        "surplus": NOWHERE if sums.surplus is None else builder.constants.add(sums.surplus),
        "transformed": At(Buffer("transformed", builder.threads * NUMBERS_OF_A_TILE * of_inputs)),
    }
