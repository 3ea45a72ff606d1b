"""What a convolution by Winograd's F(4, r) along columns reads, and which take it: see `compiled.along_columns`."""

import math
from fractions import Fraction

import numpy as np

from tfq.graph import nodes as g
from tfq.graph.kernels import FloatKernel
from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import groups
from tfq.runtime.plan.plan import Fused
from tfq.runtime.program import packing
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.steps import ALONG_COLUMNS, NUMBERS_OF_A_COLUMN, POSITIONS, WINDOWS_OF_A_COLUMN, At, Buffer

_HEIGHT = 5  # of a kernel
# Of those tried these lose the fewest digits. Pairs of c and -c are next to each other, and the smallest sums come first.
_POINTS = [Fraction(0), *(sign * point for point in (Fraction(1, 2), Fraction(1), Fraction(2)) for sign in (1, -1))]
# Parts for each thread, so that the last ones end at about the same time.
_PARTS_A_THREAD = 2
# Windows of a row whose sums are computed together; 8 and 32 were no faster.
_BLOCK = 16
_LARGEST = 2.0**126  # half of what float32 holds
_TOO_LARGE = 2.0**100  # for a weight: combined ones, and a sum of them, must stay far below `_LARGEST`
_EXACT = 2**24  # whole numbers up to here are exact in float32


def is_along_columns(fused: Fused, out: tuple[int, ...]) -> bool:
    """Whether a convolution in float32, of `out` windows in height and width, is computed along columns.

    Its products are fifteenths and such of those of direct sums. So a kernel whose direct sums may be exact is left to them. And
    where a window sees zeros alone, what its neighbours see may not cancel to 0. So what has no shift, before a sign follows, is
    left to direct sums too.
    """
    node = fused.node
    if not isinstance(node, g.Conv2D) or groups(node) != 1 or {*node.strides, *node.dilations} != {1}:
        return False
    height, width, channels, filters = node.kernel.shape
    fits = out[0] >= WINDOWS_OF_A_COLUMN and out[1] >= max(POSITIONS) and (out[1] + width - 1) * channels >= LANES
    return (
        height == _HEIGHT
        and fits
        and filters >= LANES
        and isinstance(node.kernel, FloatKernel)
        and _is_shifted(node, fused.affine)
        and not _may_be_exact(node.kernel)
    )


def _is_shifted(node, affine):
    """Whether a sum of zeros gives another result than 0, with each filter."""
    bias = 0 if node.bias is None else node.bias
    of_zeros = bias if affine is None else bias * affine.scale + affine.shift
    return bool(np.all(of_zeros))


def _may_be_exact(kernel):
    """Whether sums with some filter are exact at least where the inputs are 0, 1 and -1; or numbers are too large for G g."""
    values = np.asarray(kernel.values, np.float32).reshape(-1, kernel.shape[-1]).astype(np.float64)
    if not (np.abs(values) < _TOO_LARGE).all():
        return True
    fraction, exponent = np.frexp(values)
    whole = np.rint(fraction * _EXACT).astype(np.int64)
    # The largest power of 2 that divides all weights of a filter.
    powers = exponent - math.log2(_EXACT) + np.log2(np.maximum(whole & -whole, 1))
    unit = np.exp2(np.where(whole == 0, np.inf, powers).min(axis=0))
    used = whole.any(axis=0)
    return bool((np.abs(values).sum(axis=0)[used] <= _EXACT * unit[used]).any())


def extra_rows(height: int) -> int:
    """Rows below an image that the last windows see, of `height` windows."""
    return -height % WINDOWS_OF_A_COLUMN


def matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A^T (4, 8), G (8, 5) and B^T (8, 8) of F(4, 5), float64.

    Numbers are those of the points, and of infinity. Rows of B^T are about 1: G has a power of 2 instead, which costs no digit.
    """
    to_results = np.array([[float(point**power) for point in _POINTS] + [0] for power in range(WINDOWS_OF_A_COLUMN)])
    to_kernels, to_rows = np.zeros((NUMBERS_OF_A_COLUMN, _HEIGHT)), np.zeros((NUMBERS_OF_A_COLUMN, NUMBERS_OF_A_COLUMN))
    for number, point in enumerate(_POINTS):
        others = [other for other in _POINTS if other != point]
        divisor = math.prod(point - other for other in others)
        to_kernels[number] = [float(point**power / divisor) for power in range(_HEIGHT)]
        to_rows[number, :-1] = np.poly(np.array(others, np.float64))[::-1]
    to_results[-1, -1] = to_kernels[-1, -1] = 1
    to_rows[-1] = np.poly(np.array(_POINTS, np.float64))[::-1]
    size = np.exp2(np.rint(np.log2(np.abs(to_rows).max(axis=1, keepdims=True))))
    return to_results, to_kernels * size, to_rows / size


def column_numbers(builder: Builder, node, geometry: Geometry) -> dict[str, At | int]:
    """The numbers of a `Convolve` that its combined rows need."""
    height, width, channels, filters = node.kernel.shape
    to_results, to_kernels, to_rows = matrices()
    values = np.asarray(node.kernel.values, np.float64).reshape(height, width * channels, filters)
    kernels = np.einsum("nk,kwf->nwf", to_kernels, values).astype(np.float32)
    weights = np.stack([packing.interleave(kernel.T) for kernel in kernels])
    _, vectors, words, _ = weights.shape
    # A sum of no more than this, times any row of A^T, does not overflow.
    most = np.abs(kernels).sum(axis=1).max() * np.abs(to_results).sum(axis=1).max()
    highest = _LARGEST / max(most, 1.0)
    factors = np.concatenate([[highest], to_rows.reshape(-1)]).astype(np.float32)
    out_height, out_width = geometry.out
    line, block = (out_width + width - 1) * channels, min(_BLOCK, out_width)
    # All filters of four rows belong together, so that these are combined once, unless threads would have nothing to do.
    groups, strips = -(-vectors // builder.tile.vectors), -(-out_height // WINDOWS_OF_A_COLUMN)
    shares = min(groups, -(-_PARTS_A_THREAD * builder.threads // strips)) if builder.threads > 1 else 1
    sums = NUMBERS_OF_A_COLUMN * (block * builder.tile.vectors + 1) + WINDOWS_OF_A_COLUMN * out_width * builder.tile.vectors
    return {
        "kind": ALONG_COLUMNS,
        "positions": next(count for count in POSITIONS if count <= builder.tile.positions),
        "strip": WINDOWS_OF_A_COLUMN,
        "strip_vectors": -(-groups // shares) * builder.tile.vectors,
        "sums": At(Buffer("sums", builder.threads * sums * LANES)),
        "block": block,
        "combined": At(Buffer("combined", builder.threads * NUMBERS_OF_A_COLUMN * line)),
        "line": line,
        "line_words": words,
        "line_ends": builder.constants.add(np.array([0, words], np.int32)),
        "line_weights": builder.constants.add(weights),
        "factors": builder.constants.add(factors),
    }
