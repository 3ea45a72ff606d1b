"""What differs between plain ONNX and QONNX: how quantizers and packed kernels are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfq.graph.kernels import PackedKernel
from tfq.graph.quantizers import Levels, Sign

if TYPE_CHECKING:
    from tfq.graph.nodes import Graph
    from tfq.onnx.writer import Writer


class Dialect:
    """How quantizers and packed kernels are written.

    Attributes:
        domains: of its types of nodes, with their versions, beside that of ONNX.
        batch: length of the batch axis; a name where it may be any.
        zeros_among_signs: whether zeros may stand around what is -1 or 1 elsewhere.
    """

    domains: tuple[tuple[str, int], ...] = ()
    batch: int | str = "batch"
    zeros_among_signs: bool = True

    def check(self, graph: Graph) -> None:
        """Raise OnnxError where an operation has no form."""

    def integers(self, writer: Writer, quantizer: Sign | Levels, x: str) -> str:
        """What a quantizer makes of a tensor, as whole numbers: -1 and 1, or 0 ... n."""
        raise NotImplementedError

    def weights(self, writer: Writer, w: np.ndarray, kernel: PackedKernel) -> str:
        """The whole numbers of a kernel, in the order of ONNX, as a tensor of float32."""
        raise NotImplementedError

    def affine(self, writer: Writer, x: str, scale: np.ndarray, shift: np.ndarray | None, axes: int) -> str:
        """Times a number, plus a number: one a channel, or one for all; of a tensor with so many axes behind the channels."""
        for kind, values, idle in (("Mul", scale, 1), ("Add", shift, 0)):
            if values is not None and (np.asarray(values) != idle).any():
                per_channel = np.asarray(values, np.float32).reshape(-1, *[1] * axes)
                x = writer.add(kind, x, writer.constant(per_channel, "scale" if kind == "Mul" else "shift"))
        return x

    def sums(self, writer: Writer, y: str) -> str:
        """Sums of products of whole numbers, as they go on."""
        return y
