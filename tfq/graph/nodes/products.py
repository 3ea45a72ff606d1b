"""Convolutions and products of matrices."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from tfq.graph import check, kernels, reference
from tfq.graph.check import GraphError
from tfq.graph.fields import Kernel, Quantizer, Range, Sizes
from tfq.graph.operations import Node, register_operation
from tfq.graph.quantizers import quantize
from tfq.graph.shapes import as_image, of_image


@dataclass(frozen=True)
class _Convolution(Node):
    """What is the same along one axis and along two; the kernel is (*size, in / groups, out)."""

    kernel: Kernel
    bias: np.ndarray | None = None
    strides: tuple = ()
    dilations: tuple = ()
    padding: str = "same"
    groups: Annotated[int, Range(1)] = 1
    quantizer: Quantizer | None = None
    pad_value: Literal[0, 1, -1] = 0

    _axes: ClassVar[str]

    def infer(self, shapes):
        """See `Node`."""
        shape = check.windowed(self, shapes, self.strides, self.dilations)
        if len(self.kernel.shape) != len(shape) + 1:
            raise GraphError(f"{self.name!r} needs a kernel ({self._axes}, in, out); got shape {self.kernel.shape}")
        *size, per_group, out = self.kernel.shape
        if shape[-1] != per_group * self.groups or out % self.groups:
            raise GraphError(f"{self.name!r}: a kernel {self.kernel.shape} in {self.groups} groups does not fit inputs {shape}")
        if self.pad_value and self.padding == "valid":
            raise GraphError(f"{self.name!r}: pad_value={self.pad_value} needs padding 'same'; got {self.padding!r}")
        check.filters(self, out)
        covered = tuple((length - 1) * dilation + 1 for length, dilation in zip(size, self.dilations, strict=True))
        return (*check.moved(self, shape, covered), out)

    def compute(self, x):
        """See `Node`."""
        y = self._of_images(x.reshape(len(x), *as_image(x.shape[1:])))
        y = y.reshape(len(x), *y.shape[-len(self.strides) - 1 :])
        return y if self.bias is None else y + self.bias

    def _of_images(self, x):
        """The products with the kernel; a sequence is an image of one row."""
        values = kernels.values(self.kernel)
        values = values.reshape(*of_image(values.shape[:-2]), *values.shape[-2:])
        return self._moved(values, quantize(self.quantizer, x), self.pad_value, self.groups)

    def _moved(self, values, x, pad_value, groups=1):
        """`values` moved over images, as the kernel is."""
        how = of_image(self.strides), of_image(self.dilations)
        padded = reference.padded(x, values.shape[:2], *how, self.padding, pad_value)
        return reference.correlate(padded, values, *how, groups)


@register_operation
@dataclass(frozen=True)
class Conv2D(_Convolution):
    """Convolution: kernel (height, width, in / groups, out).

    The quantizer is applied to the inputs; `pad_value` (0, 1 or -1) is what "same" pads the quantized inputs with. "same" pads as
    TensorFlow does: the odd pixel at the end. With `kmap` the result is multiplied by K (XNOR-Net, equation 11) before the
    bias: the mean of |x| over the channels, box-filtered with value 1 / (height width) and the same strides, dilations and
    padding, padded with |pad_value|.
    """

    strides: Annotated[tuple, Sizes(2)] = (1, 1)
    dilations: Annotated[tuple, Sizes(2)] = (1, 1)
    padding: Literal["same", "valid"] = "same"
    kmap: bool = False

    _axes = "height, width"

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        if self.kmap and (self.groups != 1 or self.quantizer is None):
            got = f"quantizer={self.quantizer} and groups={self.groups}"
            raise GraphError(f"{self.name!r}: kmap needs quantized inputs and one group; got {got}")
        return super().infer(shapes)

    def _of_images(self, x):
        y = super()._of_images(x)
        if not self.kmap:
            return y
        height, width, *_ = self.kernel.shape
        box = np.full((height, width, 1, 1), 1 / (height * width))
        return y * self._moved(box, np.abs(x).mean(axis=-1, keepdims=True), abs(self.pad_value))


@register_operation
@dataclass(frozen=True)
class Conv1D(_Convolution):
    """Convolution of a sequence: kernel (length, in / groups, out), otherwise as `Conv2D`.

    "causal" pads in front alone, so that no result sees what comes after it.
    """

    version = 3

    strides: Annotated[tuple, Sizes(1)] = (1,)
    dilations: Annotated[tuple, Sizes(1)] = (1,)
    padding: Literal["same", "valid", "causal"] = "same"

    _axes = "length"


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
