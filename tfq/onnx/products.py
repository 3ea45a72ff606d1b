"""Convolutions and products of matrices: whole numbers first, scales behind them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfq.graph import kernels, reference
from tfq.graph import nodes as g
from tfq.graph.shapes import as_image, of_image
from tfq.onnx.emitters import emits
from tfq.onnx.signs import multiplies_signs, sums_are_whole
from tfq.onnx.windows import margins, pads_of
from tfq.onnx.writer import Writer


@emits(g.Conv2D, g.Conv1D)
def _convolution(writer: Writer, node: Any, x: str) -> str:
    shape, axes = writer.graph.shapes[node.inputs[0]], len(node.strides)
    pairs = margins(node, shape, node.kernel.shape[:-2], node.dilations)
    # hls4ml wants the shape of the kernel here too.
    how: dict[str, Any] = {
        "kernel_shape": list(node.kernel.shape[:-2]),
        "strides": list(node.strides),
        "dilations": list(node.dilations),
    }
    whole, value, rest = quantized(writer, node, x), node.pad_value * highest(node), None
    if not value and any(map(any, pairs)) and not _takes_zeros(writer, node):
        value, rest = -highest(node), _of_margin(node, shape, writer)
    if value:
        whole, pairs = writer.padded(whole, pairs, value), [(0, 0)] * axes
    y = writer.add("Conv", whole, kernel(writer, node, _first), **how, group=node.groups, pads=pads_of(pairs))
    y = y if rest is None else writer.add("Add", y, writer.constant(rest, "margin"))
    y = sums(writer, node, y)
    if getattr(node, "kmap", False):
        y = writer.add("Mul", y, _kmap(writer, node, x))
    return behind(writer, node, y, axes)


@emits(g.Dense)
def _dense(writer: Writer, node: g.Dense, x: str) -> str:
    """A convolution of single pixels where there are any."""
    axes, whole = len(writer.graph.shapes[node.name]) - 1, quantized(writer, node, x)
    if axes:
        y = writer.add(
            "Conv", whole, kernel(writer, node, lambda w: w.T.reshape(*w.T.shape, *[1] * axes)), kernel_shape=[1] * axes
        )
    else:
        y = writer.add("MatMul", whole, kernel(writer, node, lambda w: w))
    return behind(writer, node, sums(writer, node, y), axes)


def quantized(writer: Writer, node: Any, x: str) -> str:
    """The inputs of a product: whole numbers where it has a quantizer."""
    return x if node.quantizer is None else writer.dialect.integers(writer, node.quantizer, x)


def highest(node: Any) -> int:
    """What the whole numbers of the inputs are divided by."""
    return 1 if node.quantizer is None else node.quantizer.highest


def kernel(writer: Writer, node: Any, arrange: Any) -> str:
    """The kernel of a product, its whole numbers where it is packed, in the order that `arrange` gives it."""
    if isinstance(node.kernel, g.FloatKernel):
        return writer.constant(arrange(node.kernel.values).astype(np.float32), "kernel")
    return writer.dialect.weights(writer, arrange(kernels.integers(node.kernel)), node.kernel)


def sums(writer: Writer, node: Any, y: str) -> str:
    """The sums of a product, as they go on."""
    return writer.dialect.sums(writer, y) if sums_are_whole(node, writer.signs) else y


def behind(writer: Writer, node: Any, y: str, axes: int) -> str:
    """The scale and the bias behind a product."""
    scale = np.ones(1)
    if not isinstance(node.kernel, g.FloatKernel):
        scale = node.kernel.scale.astype(np.float64) / kernels.denominator(node.kernel)
    return writer.dialect.affine(writer, y, (scale / highest(node)).astype(np.float32), node.bias, axes)


def _first(values):
    """(*size, in, out) as (out, in, *size)."""
    axes = values.ndim - 2
    return values.transpose(axes + 1, axes, *range(axes))


def _takes_zeros(writer, node):
    return writer.dialect.zeros_among_signs or not multiplies_signs(node, writer.signs)


def _of_margin(node, shape, writer):
    """What zeros around the inputs add to where -1 was around them, (1, out, ...): the sum of the weights in the margin."""
    weights = node.kernel.values if isinstance(node.kernel, g.FloatKernel) else kernels.integers(node.kernel)
    weights = weights.reshape(*of_image(weights.shape[:-2]), *weights.shape[-2:]).astype(np.float64)
    how = of_image(node.strides), of_image(node.dilations)
    margin = reference.padded(np.zeros((1, *as_image(shape))), weights.shape[:2], *how, node.padding, highest(node))
    total = reference.correlate(margin, weights, *how, node.groups).reshape(1, *writer.graph.shapes[node.name])
    return np.moveaxis(total, -1, 1).astype(np.float32)


def _kmap(writer, node, x):
    """Of each window the mean of |x| (XNOR-Net, equation 11)."""
    height, width = node.kernel.shape[:2]
    pairs = margins(node, writer.graph.shapes[node.inputs[0]], (height, width), node.dilations)
    mean = writer.add("ReduceMean", writer.add("Abs", x), axes=[1], keepdims=1)
    mean = writer.padded(mean, pairs, abs(node.pad_value))
    box = writer.constant(np.full((1, 1, height, width), 1 / (height * width), np.float32), "box")
    return writer.add("Conv", mean, box, kernel_shape=[height, width], strides=list(node.strides), dilations=list(node.dilations))
