"""QONNX: `Quant` and `BipolarQuant`, which FINN and hls4ml read.

Each has scale 1, so that sums of products are whole numbers. 1 / n of DoReFa's levels stands behind them: with it as the scale of
a `Quant` what lies between two levels comes out a level off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfq.graph import nodes as g
from tfq.graph.quantizers import Levels, Sign
from tfq.onnx.dialect import Dialect
from tfq.onnx.emitters import OnnxError
from tfq.onnx.signs import signs

if TYPE_CHECKING:
    from tfq.graph.kernels import PackedKernel
    from tfq.onnx.writer import Writer

DOMAIN = "qonnx.custom_op.general"
# Makers of what `BipolarQuant` takes as it is, by FINN; None is the input of the network.
_BEFORE_SIGNS = ("BatchNormalization", "Add", "Mul", "Div", None)
_STATISTICS = ("scale", "shift", "mean", "variance")


class Qonnx(Dialect):
    """`Quant` of whole numbers in front of products, and on kernels; `BipolarQuant` where they are signs."""

    domains = ((DOMAIN, 1),)
    batch = 1
    zeros_among_signs = False  # where bits stand for -1 and 1 a zero is none of them

    def check(self, graph: g.Graph) -> None:
        """See `Dialect`."""
        among = signs(graph)
        for node in graph.nodes:
            if isinstance(node, g.ZeroPad) and among & set(node.inputs) and any(node.widths):
                raise OnnxError(
                    f"{node.name!r} puts zeros around signs, which QONNX tools take for -1: give the convolution behind it "
                    'padding="same", or pad before the signs are taken'
                )
            if isinstance(getattr(node, "quantizer", None), Levels) and getattr(node, "pad_value", 0) < 0:
                raise OnnxError(
                    f"{node.name!r} pads levels from 0 to 1 with -1, which unsigned levels do not hold: pad with 0 or 1"
                )

    def integers(self, writer: Writer, quantizer: Sign | Levels, x: str) -> str:
        """See `Dialect`."""
        if isinstance(quantizer, Sign):
            return _bipolar(writer, x if writer.maker(x) in _BEFORE_SIGNS else _doubled(writer, x))
        if quantizer.bits == 1:
            # Without it FINN takes one unsigned bit for a sign.
            return _quant(writer, writer.add("Relu", x), 1, signed=False)
        scaled = writer.add("Mul", x, writer.constant(np.float32(quantizer.highest), "levels"))
        return _quant(writer, scaled, quantizer.bits, signed=False)

    def affine(self, writer: Writer, x: str, scale: np.ndarray, shift: np.ndarray | None, axes: int) -> str:
        """See `Dialect`. hls4ml does not spread a constant of one value a channel over images, but for a batch normalization."""
        channels = max(np.size(scale), np.size(shift) if shift is not None else 1)
        if not axes or channels == 1:
            return super().affine(writer, x, scale, shift, axes)
        return _normalized(writer, x, scale, np.zeros(channels) if shift is None else shift)

    def weights(self, writer: Writer, w: np.ndarray, kernel: PackedKernel) -> str:
        """See `Dialect`. Levels, which are odd, take one bit more than in a `.tfq` file."""
        values = writer.constant(w.astype(np.float32), "kernel")
        if kernel.bits == 1:
            return _bipolar(writer, values)
        bits = kernel.bits + 1 if kernel.coding == "levels" else kernel.bits
        return _quant(writer, values, bits, signed=True, narrow=kernel.coding != "integer")


def _normalized(writer, x, scale, shift):
    """Scale and shift as a batch normalization of mean 0 and variance 1."""
    ones = np.ones(len(shift), np.float32)
    values = (scale * ones, shift, 0 * ones, ones)
    constants = [writer.constant(np.asarray(each, np.float32), what) for each, what in zip(values, _STATISTICS, strict=True)]
    return writer.add("BatchNormalization", x, *constants, epsilon=0.0)


def _doubled(writer, x):
    """The same signs. finn-plus refuses some types in front of `BipolarQuant`, and drops a `Relu`, though others read it."""
    return writer.add("Mul", x, writer.constant(np.float32(2), "doubled"))


def _bipolar(writer, x):
    return writer.add("BipolarQuant", x, writer.constant(np.float32(1), "step"), domain=DOMAIN)


def _quant(writer, x, bits, signed, narrow=False):
    step, zero, width = (writer.constant(np.float32(value), what) for value, what in ((1, "step"), (0, "zero"), (bits, "bits")))
    how = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
    return writer.add("Quant", x, step, zero, width, domain=DOMAIN, **how)
