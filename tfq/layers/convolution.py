"""What every quantized convolution has: values to pad its quantized inputs with."""

import functools
import numbers
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfq.backend.keras import Shape, Tensor, ops
from tfq.layers import padding, rank
from tfq.layers.base import QuantizedLayer
from tfq.quantizers.base import QuantizerLike


class QuantizedConvolution(QuantizedLayer):
    """Mixin, in front of a convolution of Keras of any rank, that pads quantized inputs with one of their own values.

    The kernel is moved over what `padded` gives. A layer whose kernel is not (..., in, out) states its own `quantized_op`.

    Args:
        *args: as in the Keras layer.
        pad_values: what `padding="same"` or `"causal"` pads the quantized inputs with: 0, 1 or -1.
        **kwargs: as in `QuantizedLayer`.

    Raises:
        ValueError: `pad_values` is not 0, 1 or -1, or does not fit `padding`.
    """

    if TYPE_CHECKING:  # all arguments of tfq, for editors, which do not look through `*args` and `**kwargs`

        def __init__(
            self,
            *args: Any,
            input_quantizer: QuantizerLike = None,
            kernel_quantizer: QuantizerLike = None,
            gradient_quantizer: QuantizerLike = None,
            pad_values: int = 0,
            **kwargs: Any,
        ) -> None: ...
    else:

        def __init__(self, *args: Any, pad_values: int = 0, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.pad_values = _checked(pad_values, self.padding, self.name)

    def build(self, input_shape: Shape) -> None:
        """Add the weights."""
        if not self._is_stock():
            rank.check(self, input_shape)
        super().build(input_shape)

    def quantized_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The convolution."""
        inputs, padding = self.padded(inputs)
        return ops.conv(inputs, kernel, list(self.strides), padding, self.data_format, self.dilation_rate)

    def skip_unread(self, inputs: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        """A kernel of one cell moved in strides reads one element of each stride: 1/4 of the inputs with strides of 2.

        The operation on these has strides of 1, and no padding, since such a kernel never lies across the border.
        """
        reads_all = any(size > 1 for size in self.kernel_size) or all(stride == 1 for stride in self.strides)
        is_ours = type(self).quantized_op is QuantizedConvolution.quantized_op and self.data_format == "channels_last"
        if reads_all or not is_ours:
            return super().skip_unread(inputs)
        # The mean of one cell each, which TensorFlow has 7 times as fast as a slice with its gradient.
        read = ops.average_pool(inputs, 1, self.strides, "valid", self.data_format)
        return read, functools.partial(ops.conv, strides=1, padding="valid", data_format=self.data_format)

    def has_plain_op(self) -> bool:
        """Whether it is the convolution of this class, across the channels."""
        return type(self).quantized_op is QuantizedConvolution.quantized_op

    def padded(self, inputs: Tensor, value: int | None = None) -> tuple[Tensor, str]:
        """Inputs and the `padding` that is left for the operation: "valid" where they are padded here.

        Args:
            inputs: (batch, ..., channels), or with the channels first.
            value: what to pad with; `pad_values` by default.
        """
        value = self.pad_values if value is None else value
        if not value and self.padding != "causal":
            return inputs, self.padding
        return ops.pad(inputs, self._pad_widths(ops.shape(inputs)), constant_values=value), "valid"

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "pad_values": self.pad_values}

    def _is_stock(self):
        return super()._is_stock() and not self.pad_values

    def _spatial(self, shape):
        return tuple(shape[1:-1] if self.data_format == "channels_last" else shape[2:])

    def _pad_widths(self, shape):
        of = padding.causal if self.padding == "causal" else padding.same
        spatial = [
            of(*sizes) for sizes in zip(self._spatial(shape), self.kernel_size, self.strides, self.dilation_rate, strict=True)
        ]
        return [(0, 0), *spatial, (0, 0)] if self.data_format == "channels_last" else [(0, 0), (0, 0), *spatial]


def _checked(pad_values: Any, padding: str, owner: str) -> int:
    number = isinstance(pad_values, numbers.Real) and not isinstance(pad_values, bool)
    if not number or pad_values not in (0, 1, -1):
        raise ValueError(f"{owner}: pad_values must be 0, 1 or -1; got pad_values={pad_values!r}")
    if pad_values and padding not in ("same", "causal"):
        raise ValueError(f"{owner}: pad_values={pad_values} needs padding='same' or 'causal'; got padding={padding!r}")
    return int(pad_values)
