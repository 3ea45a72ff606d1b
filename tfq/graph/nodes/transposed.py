"""Transposed convolutions."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from tfq.graph import check, kernels
from tfq.graph.check import MAX_VALUES, GraphError
from tfq.graph.fields import Kernel, Quantizer, Sizes
from tfq.graph.operations import Node, register_operation
from tfq.graph.quantizers import quantize
from tfq.graph.shapes import spread


@dataclass(frozen=True)
class _TransposedConvolution(Node):
    """What is the same along one axis and along two; the kernel is (*size, in, out)."""

    version = 3

    kernel: Kernel
    bias: np.ndarray | None = None
    strides: tuple = ()
    dilations: tuple = ()
    padding: Literal["same", "valid"] = "same"
    output_padding: tuple | None = None
    quantizer: Quantizer | None = None

    _axes: ClassVar[str]

    def spreads(self, shape):
        """The `Spread` of each axis of inputs of this shape."""
        extra = self.output_padding or (None,) * len(self.strides)
        axes = zip(shape[:-1], self.kernel.shape[:-2], self.strides, self.dilations, extra, strict=True)
        return [spread(*axis[:4], self.padding, axis[4]) for axis in axes]

    def infer(self, shapes):
        """See `Node`."""
        shape = check.windowed(self, shapes, self.strides, self.dilations)
        if len(self.kernel.shape) != len(shape) + 1 or self.kernel.shape[-2] != shape[-1]:
            expected = f"expected ({self._axes}, {shape[-1]}, out)"
            raise GraphError(f"{self.name!r}: a kernel {self.kernel.shape} does not fit inputs {shape}; {expected}")
        if any(stride > 1 < dilation for stride, dilation in zip(self.strides, self.dilations, strict=True)):
            raise GraphError(f"{self.name!r}: strides {self.strides} and dilations {self.dilations} are above 1 on one axis")
        out = self.kernel.shape[-1]
        check.filters(self, out)
        found = self.spreads(shape)
        if math.prod(axis.reach for axis in found) * out > MAX_VALUES:
            raise GraphError(
                f"{self.name!r} spreads over {[axis.reach for axis in found]}: more than {MAX_VALUES:,} values an image"
            )
        return (*(axis.out for axis in found), out)

    def compute(self, x):
        """See `Node`."""
        found = self.spreads(x.shape[1:])
        y = np.zeros((len(x), *(axis.reach for axis in found), self.kernel.shape[-1]))
        quantized, weights = quantize(self.quantizer, x), kernels.values(self.kernel)
        for tap in np.ndindex(weights.shape[:-2]):
            axes = zip(tap, self.dilations, self.strides, x.shape[1:-1], strict=True)
            met = (slice(i * dilation, i * dilation + (length - 1) * stride + 1, stride) for i, dilation, stride, length in axes)
            y[:, *met] += quantized @ weights[tap]
        y = y[:, *(slice(axis.before, axis.before + axis.out) for axis in found)]
        return y if self.bias is None else y + self.bias


@register_operation
@dataclass(frozen=True)
class Conv2DTranspose(_TransposedConvolution):
    """Transposed convolution: kernel (height, width, in, out).

    Each pixel of the quantized inputs adds its product with tap (i, j) to the pixel that lies (i, j) dilations behind strides
    times its own place; places that no tap meets are 0. "same" cuts the result down to strides times the size of the inputs, as
    TensorFlow does: the odd pixel at the end. `output_padding` sets its size as in Keras.
    """

    strides: Annotated[tuple, Sizes(2)] = (1, 1)
    dilations: Annotated[tuple, Sizes(2)] = (1, 1)
    output_padding: Annotated[tuple, Sizes(2, low=0)] | None = None

    _axes = "height, width"


@register_operation
@dataclass(frozen=True)
class Conv1DTranspose(_TransposedConvolution):
    """Transposed convolution of a sequence: kernel (length, in, out), otherwise as `Conv2DTranspose`."""

    strides: Annotated[tuple, Sizes(1)] = (1,)
    dilations: Annotated[tuple, Sizes(1)] = (1,)
    output_padding: Annotated[tuple, Sizes(1, low=0)] | None = None

    _axes = "length"
