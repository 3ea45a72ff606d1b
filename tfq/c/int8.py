"""Convolutions and products of float inputs and float weights, computed in int8 fixed point."""

from typing import Any, NamedTuple

import numpy as np

from tfq.c.arena import Buffer
from tfq.c.constants import Text
from tfq.c.registry import NoC
from tfq.c.source import Call, Source
from tfq.c.windows import windows_of
from tfq.graph import nodes as g
from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import groups

LARGEST = 127
QUANTIZE = "tfq_quantize_int8"
_WINDOWS = 4
# Weights of a filter up to which 32 bits hold the sum of its products.
MOST_WEIGHTS = (2**31 - 1) // LARGEST**2
# As in int8.h: inputs that are all smaller count as 0.
_SMALLEST = np.float32(1e-30)


class Bytes(NamedTuple):
    """Whole numbers from -127 to 127, and the float32 scales that multiply them."""

    values: np.ndarray
    scale: np.ndarray


def quantize_kernel(kernel: np.ndarray) -> Bytes:
    """Weights in bytes, by a scale a filter.

    s = max|w| / 127, q = round(w / s), ties to even: w is q s but for s / 2. A filter of zeros has the scale 1.

    Args:
        kernel: float (..., filters).

    Returns:
        `Bytes`: values as `kernel`, scales (filters,).
    """
    kernel = np.asarray(kernel, np.float32)
    largest = np.abs(kernel.reshape(-1, kernel.shape[-1])).max(axis=0)
    scale = np.where(largest > _SMALLEST, largest / np.float32(LARGEST), np.float32(1))
    return Bytes(np.clip(np.rint(kernel / scale), -LARGEST, LARGEST).astype(np.int8), scale)


def kernel_scale(node: Any) -> np.ndarray:
    """The scales of the weights of an operation, (filters,)."""
    return quantize_kernel(node.kernel.values).scale


def quantize_images(x: np.ndarray) -> Bytes:
    """What `tfq_quantize_int8` makes of each image, to the last bit.

    s = m / 127 with m = max|x| of the whole image, q = round(x 127 / m), ties to even. An image below 1e-30 counts as zeros.

    Args:
        x: (n, ...), taken as float32.

    Returns:
        `Bytes`: values as `x`, scales (n, 1, ...).
    """
    x = np.asarray(x, np.float32)
    largest = np.abs(x).max(axis=tuple(range(1, x.ndim)), keepdims=True)
    inverse = np.where(largest > _SMALLEST, np.float32(LARGEST) / np.maximum(largest, _SMALLEST), np.float32(0))
    return Bytes(_rounded(x * inverse), largest / np.float32(LARGEST))


class Pixels(NamedTuple):
    """How pixels become bytes: q = round(pixel factor + offset) of each channel, and each q counts `scale`."""

    factor: np.ndarray
    offset: np.ndarray
    scale: np.float32

    def quantize(self, pixels: np.ndarray) -> Bytes:
        """What `tfq_pixels_int8` makes of uint8 images (n, ..., channels), to the last bit."""
        return Bytes(_rounded(pixels.astype(np.float32) * self.factor + self.offset), np.asarray(self.scale))


def pixels(mean: np.ndarray, deviation: np.ndarray) -> Pixels:
    """`Pixels` of (pixel / 255 - mean) / deviation, with the largest value that a pixel has at 127.

    A padded 0 stays 0, since mean and deviation are in factor and offset.
    """
    ends = (np.array([[0.0], [1.0]]) - mean) / deviation
    scale = np.float32(np.abs(ends).max() / LARGEST)
    step = np.asarray(deviation, np.float64) * float(scale)
    factor, offset = np.broadcast_arrays(1 / (255 * step), -np.asarray(mean) / step)
    return Pixels(factor.astype(np.float32), offset.astype(np.float32), scale)


def _rounded(values):
    return np.rint(np.clip(values, np.float32(-LARGEST), np.float32(LARGEST))).astype(np.int8)


def product(source: Source, node: Any, results: Text, places: Any, over: Any) -> None:
    """Add the calls of one, in groups or not: one that quantizes its inputs, and one of the sums.

    Raises:
        NoC: 32 bits do not hold the sums.
    """
    source.need("int8", "conv_int8")
    windows, weights = windows_of(source, node), quantize_kernel(node.kernel.values).values
    filters = weights.shape[-1]
    count, of_group = weights[..., 0].size, filters // groups(node)
    if count > MOST_WEIGHTS:
        most = f"32 bits hold {MOST_WEIGHTS:,} products"
        raise NoC(f"{node.name!r} has no int8 edge: it has {count:,} weights a filter, and {most}")
    rows = weights.reshape(count, filters)
    blocks = [
        rows[:, first : min(first + LANES, end)].reshape(-1)
        for end in range(of_group, filters + 1, of_group)
        for first in range(end - of_group, end, LANES)
    ]
    how = source.constants.structure(
        "tfq_int8", windows=windows, filters=filters, groups=groups(node), count=count,
        weights=source.constants.array(np.concatenate(blocks), "i1"),
    )  # fmt: skip
    scale = Buffer(("int8 scale", node.name), "float", 4)
    inputs = Buffer(("int8", node.name), "int8_t", source.size(node.inputs[0]))
    source.call(node.name, QUANTIZE, inputs.bytes, source.tensor(node.inputs[0]), scale, inputs)
    scratch = source.scratch(node.name, "int8_t", _WINDOWS * count)
    source.call(node.name, "tfq_conv_int8", how, results, scale, inputs, scratch, places, over=over)


def reads_pixels(source: Source, graph: g.Graph) -> bool:
    """Whether pixels become bytes at once: the network takes some, and nothing but products in int8 reads its images."""
    readers = _readers(source)
    return graph.pixel_mean is not None and bool(readers) and all(call.function == QUANTIZE for call in readers)


def of_pixels(source: Source, graph: g.Graph) -> list[Call]:
    """Move the calls that quantize images to the front; gives those that quantize pixels in their place. See `reads_pixels`."""
    source.need("pixels_int8")
    readers = _readers(source)
    source.calls.sort(key=lambda call: call not in readers)
    return [_of_pixels(source, graph, call) for call in readers]


def _readers(source):
    return [call for call in source.calls if any(buffer.name == g.INPUT for buffer in call.buffers())]


def _of_pixels(source, graph, call):
    size, *buffers = call.arguments
    found = pixels(graph.pixel_mean, graph.pixel_std)
    factor, offset = (source.constants.array(values, "f4") for values in (found.factor, found.offset))
    channels = found.factor.size
    return Call(call.layer, "tfq_pixels_int8", (size // channels, channels, factor, offset, float(found.scale), *buffers))
