"""Transposed convolutions."""

from typing import Any

from tfq.graph import nodes as g
from tfq.onnx.emitters import emits
from tfq.onnx.products import behind, kernel, quantized, sums
from tfq.onnx.windows import pads_of
from tfq.onnx.writer import Writer


@emits(g.Conv2DTranspose, g.Conv1DTranspose)
def _transposed(writer: Writer, node: Any, x: str) -> str:
    shape, axes = writer.graph.shapes[node.inputs[0]], len(node.strides)
    found = zip(node.spreads(shape), shape[:-1], node.kernel.shape[:-2], node.strides, node.dilations, strict=True)
    cut, extra = [], []
    for spread, length, size, stride, dilation in found:
        whole = (length - 1) * stride + (size - 1) * dilation + 1
        behind_last = whole - spread.before - spread.out
        cut.append((spread.before, max(behind_last, 0)))
        extra.append(max(-behind_last, 0))
    how: dict[str, Any] = {
        "kernel_shape": list(node.kernel.shape[:-2]),
        "strides": list(node.strides),
        "dilations": list(node.dilations),
        "pads": pads_of(cut),
    }
    y = writer.add("ConvTranspose", quantized(writer, node, x), kernel(writer, node, _first), **how, output_padding=extra)
    return behind(writer, node, sums(writer, node, y), axes)


def _first(values):
    """(*size, in, out) as (in, out, *size)."""
    axes = values.ndim - 2
    return values.transpose(axes, axes + 1, *range(axes))
