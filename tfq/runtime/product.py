"""What a convolution or product of matrices needs beside its inputs: weights, offsets and tables, in the order of the loops."""

from dataclasses import dataclass

import numpy as np

from tfq.graph import nodes as g
from tfq.graph.check import MAX_VALUES, GraphError
from tfq.runtime import fusion, packing
from tfq.runtime.tile import BYTES, FLOAT, MASKED, XOR
from tfq.runtime.vector import LANES

_LARGEST_BYTE = 127


@dataclass(frozen=True)
class Geometry:
    """How the windows of a convolution lie in the image (or frame) of its inputs.

    Attributes:
        windows: `shapes.Window` of height and width.
        size: (height, width) of the kernel.
        strides: of the windows.
        dilations: of the taps.
        row: elements from one row of the image to the next.
        pixel: elements from one pixel to the next.
        shape: (height, width, channels) of the inputs.
    """

    windows: tuple
    size: tuple
    strides: tuple
    dilations: tuple
    row: int
    pixel: int
    shape: tuple

    @property
    def taps(self):
        """Offset of each tap from the first one, (taps,)."""
        rows = np.arange(self.size[0]) * self.dilations[0] * self.row
        columns = np.arange(self.size[1]) * self.dilations[1] * self.pixel
        return (rows[:, None] + columns).reshape(-1)

    def inside(self, axis):
        """For each window along an axis the taps [first, last) that do not fall outside, (windows, 2)."""
        out, before, _ = self.windows[axis]
        start, step, size = np.arange(out) * self.strides[axis] - before, self.dilations[axis], self.size[axis]
        first = np.clip(-(start // step), 0, size)
        last = np.clip(-((start - self.shape[axis]) // step), first, size)
        return np.stack([first, last], axis=1)


@dataclass(frozen=True)
class Sums:
    """Constants of the sums of one convolution; see `tile.accumulate`."""

    kind: int
    offsets: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    masks: np.ndarray | None


def window_words(kernel):
    """Words of a window that is packed densely, or None where each tap has words of its own."""
    *spatial, channels, _ = kernel.shape
    taps = int(np.prod(spatial, dtype=np.int64))
    return None if taps == 1 or channels >= packing.WORD else -(-taps * channels // packing.WORD)


def bit_sums(node, tap_offsets, plane):
    """`Sums` on bits.

    Planes i of the inputs and j of the weights count 2^(i + j): they are summed in segments, the highest power first, and the
    sums doubled between them. Signs count twice (see `Accumulator`): one more segment, an empty one.

    Args:
        node: the operation.
        tap_offsets: offset of each word of a window in one plane of the inputs.
        plane: elements from one plane of the inputs to the next.
    """
    dense = window_words(node.kernel) is not None
    pairs = [
        (i + weights.weight.bit_length() - 1, i, weights)
        for i in range(fusion.input_bits(node.quantizer))
        for weights in packing.signs(node.kernel)
    ]
    pairs.sort(key=lambda pair: -pair[0])
    highest = pairs[0][0]
    counts = [sum(power == highest - segment for power, *_ in pairs) for segment in range(highest + 1)]
    if isinstance(node.quantizer, g.Sign):
        counts.append(0)
    offsets = np.concatenate([tap_offsets + i * plane for _, i, _ in pairs])
    weights = np.concatenate([packing.words(signs.positive, dense) for *_, signs in pairs], axis=1)
    masked = pairs[0][2].nonzero is not None
    return Sums(
        kind=MASKED if masked else XOR,
        offsets=offsets.astype(np.int32),
        ends=np.concatenate([[0], np.cumsum(counts) * len(tap_offsets)]).astype(np.int32),
        weights=packing.interleave(weights),
        masks=packing.interleave(np.concatenate([packing.words(signs.nonzero, dense) for *_, signs in pairs], axis=1))
        if masked
        else None,
    )


def needs_box(kernel):
    """Whether odd weights w, of 8 bits, are 9 bits with their sign, so that bytes hold -(w + 1) / 2: see `byte_sums`."""
    return kernel.coding == "levels" and kernel.bits == 8


def byte_sums(node, tap_offsets):
    """`Sums` of -x w on bytes, levels x.

    Where a byte does not hold the odd number -w = 2 s + 1, it holds s: sums of x s, doubled by one more segment, an empty one.
    What is missing is the sum of x in the window, the same for all filters (`kernels.box`). Where the lowest integer has no
    negative in a byte, as -128, -w is summed in halves: 2 s + (0 or 1).

    Args:
        node: the operation.
        tap_offsets: offset of each word of a window.
    """
    values, count = -packing.integers(node.kernel), len(tap_offsets)
    parts, ends = [values], [0, count]
    if needs_box(node.kernel):
        parts, ends = [(values - 1) // 2], [0, count, count]
    elif values.max() > _LARGEST_BYTE:
        parts, ends = [values >> 1, values & 1], [0, count, 2 * count]
    weights = packing.interleave(np.concatenate([packing.signed_bytes(part) for part in parts], axis=1))
    offsets = np.tile(tap_offsets, len(parts))
    return Sums(BYTES, offsets.astype(np.int32), np.array(ends, np.int32), weights, None)


def float_sums(values, geometry, first_channel):
    """`Sums` in float32, of the kernel `values` (taps, in, out) on the channels from `first_channel` on."""
    taps, channels, filters = values.shape
    offsets = geometry.taps[:, None] + first_channel + np.arange(channels)
    ends = np.array([0, taps * channels], np.int32)
    weights = packing.interleave(values.reshape(taps * channels, filters).T)
    return Sums(FLOAT, offsets.reshape(-1).astype(np.int32), ends, weights, None)


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


def accumulator(node, geometry, fill):
    """The `Accumulator` of an operation on bits or bytes.

    For signs x and w of n weights that are not 0, sum x w = n - 2 popcount(x ^ w). A bit x of a level and a sign w give
    sum x w = (number of w that are +1) - popcount(x ^ w). Bytes give -sum x w as it is. Taps outside read the bits `fill`; where
    those do not stand for the value padded, the base sets it right.
    Windows are of few kinds: those alike in the rows and the columns that fall outside.
    """
    signs, whole = packing.signs(node.kernel), packing.integers(node.kernel)
    bits = fusion.input_bits(node.quantizer)
    highest = 2**bits - 1
    if isinstance(node.quantizer, g.Sign):
        read = 2 * fill - 1
        terms = (plane.weight * (np.ones_like(plane.positive) if plane.nonzero is None else plane.nonzero) for plane in signs)
    else:
        read = fill * highest
        terms = (plane.weight * highest * plane.positive for plane in signs)
    total = 0 if fusion.on_bytes(node) else sum(term.sum(axis=(0, 1)) for term in terms)
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


def kernel_scale(node):
    """float32 scale of the integer accumulators, (out,) or (1,)."""
    n = packing.denominator(node.kernel)
    if isinstance(node.quantizer, g.Levels):
        n *= 2**node.quantizer.bits - 1
    return (node.kernel.scale / np.float32(n)).astype(np.float32)
