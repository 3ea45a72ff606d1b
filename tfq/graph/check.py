"""Whether the operations of a graph fit together, found out from shapes alone, before anything is allocated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tfq.graph.shapes import window

if TYPE_CHECKING:
    from typing import Any

    from tfq.graph.nodes import Graph
    from tfq.graph.operations import Node


INPUT = "input"

# Values of one tensor of one image: 2^28 are 1 GiB in float32. What a file asks for beyond that is not a network but an attack.
MAX_VALUES = 2**28
# Values that the windows of a pool read, where fewer than 16 channels take the time of 16. 2^36 are some seconds of one core, and
# a pool of 15 x 15 at every place of the largest image. Without a limit the time would grow with the square of a tensor's size.
MAX_READS = 2**36


class GraphError(ValueError):
    """A graph that is none: the message names the operation and what is wrong with it."""


def infer(graph: Graph) -> dict[str, tuple]:
    """Shape of each operation's result, without the batch axis; a `Graph` has them as `shapes`.

    Args:
        graph: `tfq.graph.nodes.Graph`.

    Returns:
        Dictionary from the names of the operations, and `INPUT`, to tuples: (height, width, channels), (length, channels)
        or (features,).

    Raises:
        GraphError: a name is used twice or before it is there, or operands do not fit.
    """
    shapes = {INPUT: _checked(INPUT, graph.input_shape)}
    if not graph.nodes:
        raise GraphError("the graph has no operations")
    for node in graph.nodes:
        if node.name in shapes:
            raise GraphError(f"the name {node.name!r} is used twice")
        for name in node.inputs:
            if name not in shapes:
                raise GraphError(f"{node.name!r} takes {name!r}, which does not come before it")
        shapes[node.name] = _checked(node.name, node.infer([shapes[name] for name in node.inputs]))
    _check_pixels(graph)
    return shapes


def _checked(name, shape):
    if not 1 <= len(shape) <= 3 or min(shape) < 1:
        expected = "(height, width, channels), (length, channels) or (features,)"
        raise GraphError(f"{name!r} has shape {tuple(shape)}; expected {expected}")
    if math.prod(shape) > MAX_VALUES:
        raise GraphError(f"{name!r} has shape {tuple(shape)}: more than {MAX_VALUES:,} values an image")
    return tuple(shape)


def _check_pixels(graph):
    if (graph.pixel_mean is None) != (graph.pixel_std is None):
        missing = "pixel_mean" if graph.pixel_mean is None else "pixel_std"
        raise GraphError(f"of pixel_mean and pixel_std only one is given; {missing} is missing")
    if graph.pixel_mean is None:
        return
    for name, values in (("pixel_mean", graph.pixel_mean), ("pixel_std", graph.pixel_std)):
        if len(values) != graph.input_shape[-1]:
            raise GraphError(f"{name} has {len(values)} values for {graph.input_shape[-1]} channels")
    if not (graph.pixel_std > 0).all():
        raise GraphError(f"pixel_std must be above 0; got {graph.pixel_std.tolist()}")


# --- what the rules of operations have in common


def one(node: Node, shapes: list[tuple]) -> tuple:
    """The shape of the only input."""
    if len(shapes) != 1:
        raise GraphError(f"{node.name!r} takes one tensor; got {len(shapes)}")
    return shapes[0]


def image(node: Node, shapes: list[tuple]) -> tuple:
    """The shape of the only input, which is an image: (height, width, channels)."""
    shape = one(node, shapes)
    if len(shape) != 3:
        raise GraphError(f"{node.name!r} takes (height, width, channels); got shape {shape}")
    return shape


def sequence(node: Node, shapes: list[tuple]) -> tuple:
    """The shape of the only input, which is a sequence: (length, channels)."""
    shape = one(node, shapes)
    if len(shape) != 2:
        raise GraphError(f"{node.name!r} takes (length, channels); got shape {shape}")
    return shape


def windowed(node: Node, shapes: list[tuple], *sizes: tuple) -> tuple:
    """The shape of the only input, an image or a sequence, whose windows have `sizes`: of two axes, or of one."""
    axes = len(sizes[0])
    if any(len(size) != axes for size in sizes):
        raise GraphError(f"{node.name!r} has windows of one axis and of two: {sizes}")
    return image(node, shapes) if axes == 2 else sequence(node, shapes)


def moved(node: Any, shape: tuple, covered: tuple) -> tuple:
    """Size of the result of moving a window of size `covered` over `shape`, by `node.strides` and `node.padding`."""
    axes = zip(shape[:-1], covered, node.strides, strict=True)
    windows = [window(*axis, padding=node.padding) for axis in axes]
    padded = tuple(before + length + after for length, (_, before, after) in zip(shape[:-1], windows, strict=True))
    if math.prod(padded) * shape[-1] > MAX_VALUES:
        raise GraphError(f"{node.name!r} pads to {padded}: more than {MAX_VALUES:,} values an image")
    size = tuple(axis.out for axis in windows)
    if min(size) < 1:
        raise GraphError(f"{node.name!r} moves a window of {covered} over {shape[:-1]}, which is smaller")
    return size


def pooled(node: Any, shape: tuple, pool_size: tuple) -> tuple:
    """Shape of the pool of windows of `pool_size`, by `node.strides` and `node.padding`."""
    size, channels = moved(node, shape, pool_size), shape[-1]
    inside = math.prod(map(min, pool_size, shape))
    reads = math.prod(size) * inside * max(channels, 16)
    if reads > MAX_READS:
        windows = f"{math.prod(size):,} windows of {inside:,} places"
        raise GraphError(f"{node.name!r} pools {windows}, which reads {reads:,} values an image: more than {MAX_READS:,}")
    return (*size, channels)


def filters(node: Any, out: int) -> None:
    """Raise unless the biases and scales of a kernel are those of `out` filters."""
    if node.bias is not None and len(node.bias) != out:
        raise GraphError(f"{node.name!r} has {len(node.bias)} biases for {out} outputs")
    if hasattr(node.kernel, "scale") and len(node.kernel.scale) not in (1, out):
        raise GraphError(f"{node.name!r} has {len(node.kernel.scale)} scales for {out} filters; expected 1 or {out}")
