"""Operations on each value by itself."""

import numpy as np

from tfq.graph import nodes as g
from tfq.onnx.emitters import emits
from tfq.onnx.writer import Writer


@emits(g.ScaleShift)
def _scale_shift(writer: Writer, node: g.ScaleShift, x: str) -> str:
    return writer.dialect.affine(writer, x, node.scale, node.shift, len(writer.graph.shapes[node.name]) - 1)


@emits(g.ReLU)
def _relu(writer: Writer, node: g.ReLU, x: str) -> str:
    if node.max_value is None:
        return writer.add("Relu", x)
    return _clip(writer, x, 0, node.max_value)


@emits(g.HardTanh)
def _hard_tanh(writer: Writer, node: g.HardTanh, x: str) -> str:
    return _clip(writer, x, -1, 1)


@emits(g.Quantize)
def _quantize(writer: Writer, node: g.Quantize, x: str) -> str:
    """A division: the product with 1 / n would be another float."""
    whole = writer.dialect.integers(writer, node.quantizer, x)
    n = node.quantizer.highest
    return whole if n == 1 else writer.add("Div", whole, writer.constant(np.float32(n), "levels"))


def _clip(writer, x, low, high):
    return writer.add("Clip", x, *(writer.constant(np.float32(value), "limit") for value in (low, high)))
