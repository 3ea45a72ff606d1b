"""From the sums of popcounts or bytes to the integer accumulator, and from there to numbers."""

from dataclasses import dataclass

import numpy as np

from tfq.graph import nodes as g
from tfq.graph.check import MAX_VALUES, GraphError
from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import on_bytes
from tfq.runtime.program import packing
from tfq.runtime.program.geometry import Geometry


@dataclass(frozen=True)
class Accumulator:
    """How the integer accumulator follows from the sums of popcounts or bytes: a = base - sums.

    Attributes:
        base: int32 (classes of rows, classes of columns, vectors, 16).
        rows: int32, class of each row of windows.
        columns: int32, class of each column.
        bound: no accumulator is larger in size.
    """

    base: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    bound: int


def accumulator(node, geometry: Geometry, fill: int) -> Accumulator:
    """The `Accumulator` of an operation on bits or bytes.

    For signs x and w of n weights that are not 0, sum x w = n - 2 popcount(x ^ w). A bit x of a level and a sign w give
    sum x w = (number of w that are +1) - popcount(x ^ w). Bytes give -sum x w as it is. Taps outside read the bits `fill`; where
    those do not stand for the value padded, the base sets it right.
    Windows are of few kinds: those alike in the rows and the columns that fall outside.
    """
    whole, highest = packing.integers(node.kernel), node.quantizer.highest
    signs = [] if on_bytes(node) else packing.signs(node.kernel)
    if isinstance(node.quantizer, g.Sign):
        read = 2 * fill - 1
        terms = (plane.weight * (np.ones_like(plane.positive) if plane.nonzero is None else plane.nonzero) for plane in signs)
    else:
        read = fill * highest
        terms = (plane.weight * highest * plane.positive for plane in signs)
    total = sum(term.sum(axis=(0, 1)) for term in terms)
    wrong = getattr(node, "pad_value", 0) * highest - read
    row_kinds, rows = np.unique(geometry.inside(0), axis=0, return_inverse=True)
    column_kinds, columns = np.unique(geometry.inside(1), axis=0, return_inverse=True)
    filters = whole.shape[-1]
    if len(row_kinds) * len(column_kinds) * (filters + -filters % LANES) > MAX_VALUES:
        kinds = f"{len(row_kinds)} x {len(column_kinds)} kinds of windows at its borders"
        raise GraphError(f"{node.name!r} has {kinds}, for {filters} filters: more than {MAX_VALUES:,} values")
    outside = _outside(whole.sum(axis=1).reshape(*geometry.size, filters), row_kinds, column_kinds)
    base = np.pad(total + wrong * outside, [(0, 0), (0, 0), (0, -filters % LANES)])
    bound = int(np.abs(whole).sum(axis=(0, 1)).max()) * highest
    return Accumulator(base.astype(np.int32), rows.reshape(-1).astype(np.int32), columns.reshape(-1).astype(np.int32), bound)


def _outside(by_tap, rows, columns):
    """Sums over the taps outside, (kinds of rows, kinds of columns, filters), of values (height, width, filters)."""
    # Sums of all taps above and left of each: those of a rectangle follow from its corners, however large the kernel is.
    corner = np.pad(by_tap.cumsum(axis=0).cumsum(axis=1), [(1, 0), (1, 0), (0, 0)])

    def at(row, column):
        return corner[rows[:, row][:, None], columns[:, column]]

    return corner[-1, -1] - (at(1, 1) - at(0, 1) - at(1, 0) + at(0, 0))


def kernel_scale(node) -> np.ndarray:
    """float32 scale of the integer accumulators, (out,) or (1,)."""
    n = packing.denominator(node.kernel) * node.quantizer.highest
    return (node.kernel.scale / np.float32(n)).astype(np.float32)
