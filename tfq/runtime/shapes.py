"""Shapes of the tensors of a graph, and what "same" pads."""

import math
from typing import NamedTuple

from tfq.runtime import graph as g


class Window(NamedTuple):
    """How windows move along one axis.

    Attributes:
        out: number of windows.
        before: length padded in front.
        after: length padded behind.
    """

    out: int
    before: int
    after: int


def window(length, size, stride, dilation=1, padding="same"):
    """The `Window` of a kernel or pool of `size` on an axis of `length`; "same" pads as TensorFlow does."""
    reach = (size - 1) * dilation + 1
    if padding == "valid":
        return Window((length - reach) // stride + 1, 0, 0)
    out = -(-length // stride)
    total = max(0, (out - 1) * stride + reach - length)
    return Window(out, total // 2, total - total // 2)


def as_image(shape):
    """Any shape as (height, width, channels)."""
    return tuple(shape) if len(shape) == 3 else (math.prod(shape[:-1]), 1, shape[-1])


def infer(graph):
    """Shape, without the batch axis, of the input and of each operation's result.

    Raises:
        ValueError: an operation does not fit its inputs.
    """
    shapes = {g.INPUT: tuple(graph.input_shape)}
    for node in graph.nodes:
        unknown = [name for name in node.inputs if name not in shapes]
        if unknown:
            raise ValueError(f"{node.name}: takes {unknown[0]!r}, which no operation before it gives")
        shape = _result(node, [shapes[name] for name in node.inputs])
        if not all(length > 0 for length in shape):
            raise ValueError(f"{node.name}: {shapes[node.inputs[0]]} is too small for it: its result would be {shape}")
        shapes[node.name] = shape
    return shapes


def _result(node, inputs):
    shape = inputs[0]
    match node:
        case g.Conv2D():
            return _convolved(node, shape)
        case g.Dense():
            _expect(node, shape[-1] == node.kernel.shape[0], f"{node.kernel.shape[0]} features, got {shape}")
            return (*shape[:-1], node.kernel.shape[1])
        case g.MaxPool() | g.AveragePool():
            _expect(node, len(shape) == 3, f"(height, width, channels), got {shape}")
            axes = zip(shape[:2], node.pool_size, node.strides, strict=True)
            return (*(window(*axis, padding=node.padding).out for axis in axes), shape[2])
        case g.GlobalMaxPool() | g.GlobalAveragePool():
            _expect(node, len(shape) == 3, f"(height, width, channels), got {shape}")
            return (1, 1, shape[2]) if node.keepdims else (shape[2],)
        case g.Add():
            _expect(node, all(other == shape for other in inputs), f"inputs of one shape, got {inputs}")
            return shape
        case g.Concatenate():
            _expect(node, all(other[:-1] == shape[:-1] for other in inputs), f"inputs alike but for the last axis, got {inputs}")
            return (*shape[:-1], sum(other[-1] for other in inputs))
        case g.Reshape():
            _expect(node, math.prod(shape) == math.prod(node.shape), f"{math.prod(node.shape)} values, got {shape}")
            return tuple(node.shape)
        case g.ScaleShift():
            for values in (node.scale, node.shift):
                _expect(node, values.size in (1, shape[-1]), f"{values.size} channels, got {shape}")
            return shape
        case g.ReLU() | g.HardTanh() | g.Quantize():
            return shape
    raise ValueError(f"{node.name}: {type(node).__name__} is no operation of the runtime")


def _convolved(node, shape):
    _expect(node, len(shape) == 3, f"(height, width, channels), got {shape}")
    height, width, channels, filters = node.kernel.shape
    _expect(node, shape[2] == channels * node.groups, f"{channels * node.groups} channels, got {shape}")
    _expect(node, filters % node.groups == 0, f"filters in {node.groups} equal groups, but has {filters}")
    axes = zip(shape[:2], (height, width), node.strides, node.dilations, strict=True)
    return (*(window(*axis, node.padding).out for axis in axes), filters)


def _expect(node, fits, what):
    if not fits:
        raise ValueError(f"{node.name}: expected {what}")
