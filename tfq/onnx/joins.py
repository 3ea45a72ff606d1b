"""Several tensors as one, and another shape of one."""

import math
from collections.abc import Sequence

import numpy as np

from tfq.graph import nodes as g
from tfq.onnx.emitters import emits
from tfq.onnx.writer import Writer


@emits(g.Add)
def _add(writer: Writer, node: g.Add, x: str, *others: str) -> str:
    for other in others:
        x = writer.add("Add", x, other)
    return x


@emits(g.Concatenate)
def _concatenate(writer: Writer, node: g.Concatenate, *tensors: str) -> str:
    return writer.add("Concat", *tensors, axis=1)


@emits(g.Reshape)
def _reshape(writer: Writer, node: g.Reshape, x: str) -> str:
    """Row-major with the channels last, as in Keras."""
    before = writer.graph.shapes[node.inputs[0]]
    if math.prod(before[:-1]) > 1:  # else no value would move
        x = channels_last(writer, x, before)
    if len(node.shape) == 1:
        return writer.add("Flatten", x) if len(before) > 1 else x
    # 0 stands for the length that the axis has.
    x = writer.add("Reshape", x, writer.constant(np.array([0, *node.shape], np.int64), "shape"))
    return channels_first(writer, x, node.shape)


def channels_last(writer: Writer, x: str, shape: Sequence[int]) -> str:
    """A tensor with its channels moved to the end."""
    axes = len(shape)
    return x if axes == 1 else writer.add("Transpose", x, perm=[0, *range(2, axes + 1), 1])


def channels_first(writer: Writer, x: str, shape: Sequence[int]) -> str:
    """A tensor with its channels moved to the front."""
    axes = len(shape)
    return x if axes == 1 else writer.add("Transpose", x, perm=[0, axes, *range(1, axes)])
