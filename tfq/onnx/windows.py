"""Margins and pools of images and sequences."""

from collections.abc import Sequence
from typing import Any

from tfq.graph import nodes as g
from tfq.graph import shapes
from tfq.onnx.emitters import emits
from tfq.onnx.writer import Writer


def margins(node: Any, shape: Sequence[int], sizes: Sequence[int], dilations: Sequence[int]) -> list[tuple[int, int]]:
    """What `node.padding` puts (before, behind) each axis of inputs of this shape."""
    axes = zip(shape[:-1], sizes, node.strides, dilations, strict=True)
    windows = (shapes.window(*axis, padding=node.padding) for axis in axes)
    return [(window.before, window.after) for window in windows]


def pads_of(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Margins in the order of ONNX: before all axes, then behind them."""
    return [before for before, _ in pairs] + [behind for _, behind in pairs]


@emits(g.ZeroPad)
def _zero_pad(writer: Writer, node: g.ZeroPad, x: str) -> str:
    return writer.padded(x, list(zip(node.widths[::2], node.widths[1::2], strict=True)), 0)


@emits(g.MaxPool)
def _max_pool(writer: Writer, node: g.MaxPool, x: str) -> str:
    return writer.add("MaxPool", x, **_window(writer, node))


@emits(g.AveragePool)
def _average_pool(writer: Writer, node: g.AveragePool, x: str) -> str:
    return writer.add("AveragePool", x, **_window(writer, node), count_include_pad=0)


def _window(writer, node):
    pairs = margins(node, writer.graph.shapes[node.inputs[0]], node.pool_size, [1] * len(node.pool_size))
    return {"kernel_shape": list(node.pool_size), "strides": list(node.strides), "pads": pads_of(pairs)}


@emits(g.GlobalMaxPool, g.GlobalAveragePool)
def _global_pool(writer: Writer, node: Any, x: str) -> str:
    pooled = writer.add(type(node).__name__, x)
    return pooled if node.keepdims else writer.add("Flatten", pooled)
