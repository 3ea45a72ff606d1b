"""The operations of a graph as those on images that steps compute: a sequence is an image of one row."""

import math
from dataclasses import dataclass, replace
from itertools import count, product

import numpy as np

from tfq.graph import kernels, shapes
from tfq.graph import nodes as g
from tfq.graph.check import GraphError
from tfq.graph.operations import Node


@dataclass(frozen=True)
class PlacedConv2D(g.Conv2D):
    """A convolution whose windows lie where `placed` says, and not where its padding would put them.

    Attributes:
        placed: `shapes.Window` of height and of width; where these lie within the image alone, what they pad is negative.
        is_empty: whether no tap lies on anything, so that there are no products to tell of.
    """

    placed: tuple[shapes.Window, ...] = ()
    is_empty: bool = False


@dataclass(frozen=True)
class Interleave(Node):
    """Parts of an image, each with every so many of its rows and columns.

    Attributes:
        strides: rows and columns from one pixel of a part to the next.
        first: (row, column) of the first pixel of each part.
    """

    strides: tuple[int, int]
    first: tuple[tuple[int, int], ...]


# Most parts of one transposed convolution: as many as it has strides, in height times in width.
_MOST_PARTS = 4096


def on_images(graph: g.Graph) -> tuple[list[Node], dict[str, tuple[int, ...]], dict[str, str]]:
    """The operations of a graph without sequences and transposed convolutions, the shapes of all tensors, and `Plan.origins`.

    Raises:
        GraphError: the strides of a transposed convolution are too large.
    """
    origins: dict[str, str] = {}
    found: dict[str, tuple[int, ...]] = {
        name: shapes.as_image(shape) if len(shape) == 2 else shape for name, shape in graph.shapes.items()
    }
    nodes: list[Node] = []
    for node in graph.nodes:
        match node:
            case g.Conv1D():
                nodes.append(_conv1d(node, found[node.inputs[0]]))
            case g.MaxPool() | g.AveragePool():
                size, strides = shapes.of_image(node.pool_size), shapes.of_image(node.strides)
                nodes.append(replace(node, pool_size=size, strides=strides))
            case g.ZeroPad():
                nodes.append(replace(node, widths=(0,) * (4 - len(node.widths)) + node.widths))
            case g.Conv1DTranspose() | g.Conv2DTranspose():
                parts = _parts(_of_two_axes(node), found)
                origins.update((part.name, node.name) for part in parts[:-1])
                nodes.extend(parts)
            case _:
                nodes.append(node)
    return nodes, found, origins


def _conv1d(node, shape):
    kernel = _reshaped(node.kernel, (1, *node.kernel.shape))
    strides, dilations = shapes.of_image(node.strides), shapes.of_image(node.dilations)
    axes = zip(shape[:2], kernel.shape[:2], strides, dilations, strict=True)
    return PlacedConv2D(
        node.name, node.inputs, kernel, node.bias, strides, dilations, groups=node.groups, quantizer=node.quantizer,
        pad_value=node.pad_value, placed=tuple(shapes.window(*axis, node.padding) for axis in axes),
    )  # fmt: skip


def _reshaped(kernel, shape):
    if isinstance(kernel, g.PackedKernel):
        return replace(kernel, shape=shape)
    return g.FloatKernel(kernel.values.reshape(shape))


def _of_two_axes(node):
    if isinstance(node, g.Conv2DTranspose):
        return node
    padding = None if node.output_padding is None else (0, *node.output_padding)
    return g.Conv2DTranspose(
        node.name, node.inputs, _reshaped(node.kernel, (1, *node.kernel.shape)), node.bias, shapes.of_image(node.strides),
        shapes.of_image(node.dilations), node.padding, padding, node.quantizer,
    )  # fmt: skip


def _parts(node, found):
    """A transposed convolution as convolutions without strides, one for each place of a result among the strides.

    Of result o the taps t = r + j stride count, r = (o + before) mod stride, each on cell (o + before - t) / stride. It is a
    convolution with these taps, the last of them first.
    """
    if math.prod(node.strides) > _MOST_PARTS:
        raise GraphError(f"{node.name!r} has strides {node.strides}; the runtime takes a product of {_MOST_PARTS:,} at most")
    shape = found[node.inputs[0]]
    axes = zip(node.spreads(shape), shape[:2], node.kernel.shape[:2], node.strides, node.dilations, strict=True)
    vertical, horizontal = (list(_phases(*axis)) for axis in axes)
    kernel_of, parts, first = _cutter(node.kernel), [], []
    names = (name for number in count() if (name := f"{node.name}/part{number}") not in found)
    for top, left in product(vertical, horizontal):
        name, windows = next(names), (top.window, left.window)
        kernel, quantizer = kernel_of(top.taps, left.taps), node.quantizer
        is_empty = kernel is None
        if is_empty:
            # 0 times signs, which are finite.
            kernel, quantizer = kernels.pack(np.zeros((1, 1, *node.kernel.shape[2:])), "ternary"), g.Sign()
        how = {"dilations": node.dilations, "quantizer": quantizer, "placed": windows, "is_empty": is_empty}
        parts.append(PlacedConv2D(name, node.inputs, kernel, node.bias, **how))
        first.append((top.first, left.first))
        found[name] = (*(window.out for window in windows), node.kernel.shape[-1])
    return [*parts, Interleave(node.name, tuple(part.name for part in parts), node.strides, tuple(first))]


def _cutter(kernel):
    """A function from rows and columns of a kernel to the kernel of these; None where there are none."""
    is_packed = isinstance(kernel, g.PackedKernel)
    values = kernels.integers(kernel) if is_packed else kernel.values

    def cut(rows, columns):
        part = values[rows][:, columns]
        if not part.size:
            return None
        return kernels.pack(part, kernel.coding, kernel.bits, kernel.scale) if is_packed else g.FloatKernel(part)

    return cut


@dataclass(frozen=True)
class _Phase:
    """Along one axis: the first result, the windows over the inputs, and the taps, the last first."""

    first: int
    window: shapes.Window
    taps: np.ndarray


def _phases(spread, length, size, stride, dilation):
    for first in range(min(stride, spread.out)):
        cell, r = divmod(first + spread.before, stride)
        taps = np.arange(r, size, stride)[::-1]
        out = -(-(spread.out - first) // stride)
        reach = max(len(taps) - 1, 0) * dilation
        before = reach - cell
        yield _Phase(first, shapes.Window(out, before, out + reach - before - length), taps)
