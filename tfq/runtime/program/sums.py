"""What the inner loops of a convolution or product of matrices read: weights, and where their inputs are, in their order."""

from dataclasses import dataclass

import numpy as np

from tfq.graph import nodes as g
from tfq.runtime.plan.paths import input_bits
from tfq.runtime.program import packing
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.steps import BYTES, DEPTHWISE, FLOAT, MASKED, TWO_BITS, XOR

LARGEST_BYTE = 127


@dataclass(frozen=True)
class Sums:
    """Constants of the sums of one convolution; see `compiled.tile.accumulate`."""

    kind: int
    offsets: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    masks: np.ndarray | None
    shift: int = 0  # what is summed counts 2^shift times
    surplus: np.ndarray | None = None  # see `Convolve`


def window_words(kernel) -> int | None:
    """Words of a window that is packed densely, or None where each tap has words of its own."""
    *spatial, channels, _ = kernel.shape
    taps = int(np.prod(spatial, dtype=np.int64))
    return None if taps == 1 or channels >= packing.WORD else -(-taps * channels // packing.WORD)


def bit_sums(node, tap_offsets: np.ndarray, plane: int) -> Sums:
    """`Sums` on bits.

    Planes i of the inputs and j of the weights count 2^(i + j): they are summed in segments, the highest power first, and the
    sums doubled between them. Signs count twice (see `Accumulator`).

    Args:
        node: the operation.
        tap_offsets: offset of each word of a window in one plane of the inputs.
        plane: elements from one plane of the inputs to the next.
    """
    dense = window_words(node.kernel) is not None
    planes = packing.signs(node.kernel)
    pairs = [(i + signs.weight.bit_length() - 1, i, signs) for i in range(input_bits(node.quantizer)) for signs in planes]
    pairs.sort(key=lambda pair: -pair[0])
    highest = pairs[0][0]
    counts = [sum(power == highest - segment for power, *_ in pairs) for segment in range(highest + 1)]
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
        shift=int(isinstance(node.quantizer, g.Sign)),
    )


def are_two_bits(node) -> bool:
    """Whether an operation is one of `two_bit_sums`."""
    quantizer, kernel = node.quantizer, node.kernel
    return quantizer == g.Levels(2) and kernel.coding == "levels" and kernel.bits == 2


def two_bit_sums(node, tap_offsets: np.ndarray, plane: int) -> Sums:
    """`bit_sums` of levels and weights of 2 bits, by three counts instead of four.

    Let u = 2 x - 3 and w be of -3, -1, 1, 3. Their product is of +-1, +-3, +-9. It follows from whether the signs differ, d, and
    where the sizes are 1, a of u and b of w:

        u w = 9 - 2 (5 d + 3 (d ^ (a | b)) + (d ^ (a & b)))

    So what is counted comes to the same as the four counts of planes with planes, 1, 2, 2 and 4 times.
    """
    dense = window_words(node.kernel) is not None
    low, high = (signs.positive for signs in packing.signs(node.kernel))
    weights = [packing.words(bits, dense) for bits in (low ^ high, high)]
    offsets = np.stack([tap_offsets, tap_offsets + plane], axis=1).reshape(-1)
    pairs = np.stack(weights, axis=2).reshape(len(weights[0]), -1)
    return Sums(TWO_BITS, offsets.astype(np.int32), np.array([0, len(offsets)], np.int32), packing.interleave(pairs), None)


def needs_window_sums(kernel) -> bool:
    """Whether odd weights w, of 8 bits, are 9 bits with their sign, so that bytes hold -(w + 1) / 2: see `byte_sums`."""
    return kernel.coding == "levels" and kernel.bits == 8


def byte_sums(node, tap_offsets: np.ndarray) -> Sums:
    """`Sums` of -x w on bytes, levels x.

    Where a byte does not hold the odd number -w = 2 s + 1, it holds s: sums of x s, which count twice.
    What is missing is the sum of x in the window, the same for all filters (`SumWindows`). Where the lowest integer has no
    negative in a byte, as -128, -w is summed in halves: 2 s + (0 or 1).

    Args:
        node: the operation.
        tap_offsets: offset of each word of a window.
    """
    values, count = -packing.integers(node.kernel), len(tap_offsets)
    parts, ends, shift = [values], [0, count], 0
    if needs_window_sums(node.kernel):
        parts, shift = [(values - 1) // 2], 1
    elif values.max() > LARGEST_BYTE:
        parts, ends = [values >> 1, values & 1], [0, count, 2 * count]
    weights = packing.interleave(np.concatenate([packing.signed_bytes(part) for part in parts], axis=1))
    offsets = np.tile(tap_offsets, len(parts))
    return Sums(BYTES, offsets.astype(np.int32), np.array(ends, np.int32), weights, None, shift)


def float_sums(values: np.ndarray, geometry: Geometry, first_channel: int) -> Sums:
    """`Sums` in float32, of the kernel `values` (taps, in, out) on the channels from `first_channel` on."""
    taps, channels, filters = values.shape
    offsets = geometry.taps[:, None] + first_channel + np.arange(channels)
    ends = np.array([0, taps * channels], np.int32)
    weights = packing.interleave(values.reshape(taps * channels, filters).T)
    return Sums(FLOAT, offsets.reshape(-1).astype(np.int32), ends, weights, None)


def depthwise_sums(values: np.ndarray, geometry: Geometry) -> Sums:
    """`Sums` in float32, of the kernel `values` (taps, 1, out) on as many channels as there are filters."""
    ends = np.array([0, len(values)], np.int32)
    return Sums(DEPTHWISE, geometry.taps.astype(np.int32), ends, packing.interleave(values[:, 0].T), None)
