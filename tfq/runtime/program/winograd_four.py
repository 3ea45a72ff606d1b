"""What a 3x3 convolution of bytes by Winograd's F(4, 3) along the height reads: see `compiled.winograd_four`."""

import numpy as np

from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import is_3x3
from tfq.runtime.plan.windows import windows
from tfq.runtime.program import packing
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.steps import NUMBERS_OF_FOUR, ROWS_OF_FOUR, TAPS_BESIDE, WINOGRAD_FOUR, At, Buffer
from tfq.runtime.program.sums import LARGEST_BYTE, Sums

# Windows that are computed together, so that weights are read again while they are near.
_WINDOWS = 128
# Parts for each thread, so that the last ones end at about the same time.
_PARTS_A_THREAD = 2
# Rows of G, each with the factor that makes the sums 24, 12, 6 and 6 times those of the windows.
OF_KERNELS = np.array([[6, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -2, 4], [0, 0, 6]])
# How often the highest level is added to B^T d, and the largest that is left, once that often.
_ADDED = np.array([5, 8, 5, 3, 3, 5])
_LARGEST = 10


def four_sums(builder: Builder, node) -> Sums | None:
    """`Sums` of -x w on bytes, levels x; None where they do not fit bytes, the windows no fours, or the processor is too small.

    The weights are (vectors, words, 6, 3, 16): of each word of a pixel G times the taps of each column.
    """
    found, *_ = windows(node, builder.plan.shapes[node.inputs[0]])
    height, width = (window.out for window in found)
    highest = int(node.quantizer.highest)
    fit = is_3x3(node) and builder.tile.vectors > 1 and height % ROWS_OF_FOUR == 0 and width >= ROWS_OF_FOUR
    if not fit or _LARGEST * highest > 255:
        return None
    values = packing.integers(node.kernel)
    _, channels, filters = values.shape
    numbers = np.einsum("ik,kxcf->ixcf", OF_KERNELS, -values.reshape(3, TAPS_BESIDE, channels, filters))
    # Eight times the sums fit 32 bits.
    largest = np.abs(values).sum(axis=(0, 1)).max() * highest
    if np.abs(numbers).max() > LARGEST_BYTE or largest >= 2**28:
        return None
    numbers = numbers.reshape(-1, channels, filters)
    weights = packing.interleave(packing.signed_bytes(numbers))
    vectors, words = len(weights), -(-channels // 4)
    weights = weights.reshape(vectors, len(numbers), words, LANES).transpose(0, 2, 1, 3)
    added = -highest * _ADDED[:, None] * numbers.reshape(NUMBERS_OF_FOUR, -1, filters).sum(axis=1)
    surplus = packing.interleave(added.T.astype(np.int32))
    unused = np.arange(words, dtype=np.int32), np.array([0, words], np.int32)
    return Sums(WINOGRAD_FOUR, *unused, weights.reshape(vectors, -1, LANES), None, surplus=surplus)


def four_numbers(builder: Builder, geometry: Geometry, sums: Sums, highest: int) -> dict[str, At | int]:
    """The numbers of a `Convolve` that fours of windows need; `highest` is the highest level."""
    height, width = geometry.out
    strip = min(height, ROWS_OF_FOUR * -(-_WINDOWS // (ROWS_OF_FOUR * width)))
    pitch = (width + TAPS_BESIDE - 1) * geometry.pixel
    pitch += -pitch % LANES
    return {
        "strip": strip,
        "strip_vectors": shared_vectors(builder, len(sums.weights), -(-height // strip)),
        "sums": At(Buffer("sums", builder.threads * strip * width * builder.tile.vectors * LANES)),
        "words": len(sums.offsets),
        "highest": highest * 0x01010101,
        "surplus": builder.constants.add(sums.surplus),  # type: ignore[arg-type]
        "transformed": At(Buffer("transformed", builder.threads * strip // ROWS_OF_FOUR * NUMBERS_OF_FOUR * pitch)),
    }


def shared_vectors(builder: Builder, vectors: int, strips: int) -> int:
    """Vectors of filters of a part: all, so that inputs are transformed once, unless threads would have nothing to do."""
    groups = -(-vectors // builder.tile.vectors)
    shares = min(groups, -(-_PARTS_A_THREAD * builder.threads // strips)) if builder.threads > 1 else 1
    return -(-groups // shares) * builder.tile.vectors
