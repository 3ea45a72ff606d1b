"""How the windows of a convolution lie over its inputs."""

from tfq.graph import nodes as g
from tfq.graph import shapes
from tfq.runtime.plan.images import PlacedConv2D


def windows(node, shape):
    """The `Window` of height and of width of a convolution, and its kernel, strides and dilations; those of a product are 1."""
    if isinstance(node, g.Dense):
        height, width, _ = shapes.as_image(shape)
        return (shapes.Window(height, 0, 0), shapes.Window(width, 0, 0)), (1, 1), (1, 1), (1, 1)
    if isinstance(node, PlacedConv2D):
        return node.placed, tuple(node.kernel.shape[:2]), node.strides, node.dilations
    axes = zip(shape[:2], node.kernel.shape[:2], node.strides, node.dilations, strict=True)
    found = tuple(shapes.window(*axis, node.padding) for axis in axes)
    return found, tuple(node.kernel.shape[:2]), node.strides, node.dilations


def margin(node, shape) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) that a convolution pads."""
    (vertical, horizontal), *_ = windows(node, shape)
    pads = vertical.before, horizontal.before, vertical.after, horizontal.after
    return tuple(max(width, 0) for width in pads)


def fill(node) -> int:
    """The bits of the margin that a convolution pads: 1 is the highest level."""
    return 1 if getattr(node, "pad_value", 0) == 1 else 0
