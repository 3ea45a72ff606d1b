"""ONNX without further types of nodes: what any program runs that reads ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfq.graph.quantizers import Levels, Sign
from tfq.onnx.dialect import Dialect

if TYPE_CHECKING:
    from tfq.graph.kernels import PackedKernel
    from tfq.onnx.writer import Writer


class Plain(Dialect):
    """Quantizers are comparisons and roundings; kernels are whole numbers of 8 or 16 bits, made float32 once on loading."""

    def integers(self, writer: Writer, quantizer: Sign | Levels, x: str) -> str:
        """See `Dialect`. `Round` of ONNX rounds ties to even."""
        zero, one = (writer.constant(np.float32(value)) for value in (0, 1))
        if isinstance(quantizer, Sign):
            return writer.add("Where", writer.add("GreaterOrEqual", x, zero), one, writer.constant(np.float32(-1)))
        clipped = writer.add("Clip", x, zero, one)
        return writer.add("Round", writer.add("Mul", clipped, writer.constant(np.float32(quantizer.highest))))

    def weights(self, writer: Writer, w: np.ndarray, kernel: PackedKernel) -> str:
        """See `Dialect`."""
        smallest = next(kind for kind in (np.int8, np.int16, np.int32) if np.abs(w).max(initial=0) <= np.iinfo(kind).max)
        return writer.add("Cast", writer.constant(w.astype(smallest), "kernel"), to=1)  # FLOAT

    def sums(self, writer: Writer, y: str) -> str:
        """See `Dialect`. They are whole already: a rounding keeps the scale behind them from being multiplied into the kernel.

        onnxruntime does that to a convolution, and sums that are 0 come out as 1e-7 or -1e-7, with another sign.
        """
        return writer.add("Round", y)
