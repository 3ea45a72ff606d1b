"""Convolutions and products of matrices."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from tfq.graph import check, kernels, reference
from tfq.graph.check import GraphError
from tfq.graph.fields import Kernel, Quantizer, Range, Sizes
from tfq.graph.operations import Node, register_operation
from tfq.graph.quantizers import quantize


@register_operation
@dataclass(frozen=True)
class Conv2D(Node):
    """Convolution: kernel (height, width, in / groups, out).

    The quantizer is applied to the inputs; `pad_value` (0, 1 or -1) is what "same" pads the quantized inputs with. "same" pads as
    TensorFlow does: the odd pixel at the end. With `kmap` the result is multiplied by K (XNOR-Net, equation 11) before the
    bias: the mean of |x| over the channels, box-filtered with value 1 / (height width) and the same strides, dilations and
    padding, padded with |pad_value|.
    """

    kernel: Kernel
    bias: np.ndarray | None = None
    strides: Annotated[tuple, Sizes(2)] = (1, 1)
    dilations: Annotated[tuple, Sizes(2)] = (1, 1)
    padding: Literal["same", "valid"] = "same"
    groups: Annotated[int, Range(1)] = 1
    quantizer: Quantizer | None = None
    pad_value: Literal[0, 1, -1] = 0
    kmap: bool = False

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        shape = check.image(self, shapes)
        if len(self.kernel.shape) != 4:
            raise GraphError(f"{self.name!r} needs a kernel (height, width, in, out); got shape {self.kernel.shape}")
        height, width, per_group, out = self.kernel.shape
        if shape[-1] != per_group * self.groups or out % self.groups:
            raise GraphError(f"{self.name!r}: a kernel {self.kernel.shape} in {self.groups} groups does not fit inputs {shape}")
        if self.pad_value and self.padding != "same":
            raise GraphError(f"{self.name!r}: pad_value={self.pad_value} needs padding 'same'; got {self.padding!r}")
        if self.kmap and (self.groups != 1 or self.quantizer is None):
            got = f"quantizer={self.quantizer} and groups={self.groups}"
            raise GraphError(f"{self.name!r}: kmap needs quantized inputs and one group; got {got}")
        check.filters(self, out)
        covered = tuple((size - 1) * dilation + 1 for size, dilation in zip((height, width), self.dilations, strict=True))
        return (*check.moved(self, shape, covered), out)

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        sizes = self.kernel.shape[:2]
        how = (sizes, self.strides, self.dilations, self.padding)
        quantized = reference.padded(quantize(self.quantizer, x), *how, self.pad_value)
        y = reference.correlate(quantized, kernels.values(self.kernel), self.strides, self.dilations, self.groups)
        if self.kmap:
            magnitude = reference.padded(np.abs(x).mean(axis=-1, keepdims=True), *how, abs(self.pad_value))
            box = np.full((*sizes, 1, 1), 1 / (sizes[0] * sizes[1]))
            y = y * reference.correlate(magnitude, box, self.strides, self.dilations)
        return y if self.bias is None else y + self.bias


@register_operation
@dataclass(frozen=True)
class Dense(Node):
    """Matrix product over the last axis: kernel (in, out)."""

    kernel: Kernel
    bias: np.ndarray | None = None
    quantizer: Quantizer | None = None

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        shape = check.one(self, shapes)
        if len(self.kernel.shape) != 2 or self.kernel.shape[0] != shape[-1]:
            expected = f"expected ({shape[-1]}, out)"
            raise GraphError(f"{self.name!r}: a kernel {self.kernel.shape} does not fit inputs {shape}; {expected}")
        check.filters(self, self.kernel.shape[1])
        return (*shape[:-1], self.kernel.shape[1])

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        y = quantize(self.quantizer, x) @ kernels.values(self.kernel)
        return y if self.bias is None else y + self.bias
