"""What every quantized convolution has: values to pad its quantized inputs with."""

import numbers
from typing import Any

from tfq.backend.keras import Shape, Tensor, ops
from tfq.layers import padding, rank
from tfq.layers.base import QuantizedLayer


class QuantizedConvolution(QuantizedLayer):
    """Mixin, in front of a convolution of Keras of any rank, that pads quantized inputs with one of their own values.

    Its `quantized_op` moves the kernel over what `padded` gives.

    Args:
        *args: as in the Keras layer.
        pad_values: what `padding="same"` or `"causal"` pads the quantized inputs with: 0, 1 or -1.
        **kwargs: as in `QuantizedLayer`.

    Raises:
        ValueError: `pad_values` is not 0, 1 or -1, or does not fit `padding`.
    """

    def __init__(self, *args: Any, pad_values: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        number = isinstance(pad_values, numbers.Real) and not isinstance(pad_values, bool)
        if not number or pad_values not in (0, 1, -1):
            raise ValueError(f"{self.name}: pad_values must be 0, 1 or -1; got pad_values={pad_values!r}")
        if pad_values and self.padding not in ("same", "causal"):
            raise ValueError(
                f"{self.name}: pad_values={pad_values} needs padding='same' or 'causal'; got padding={self.padding!r}"
            )
        self.pad_values = int(pad_values)

    def build(self, input_shape: Shape) -> None:
        """Add the weights; the size of a padding that is ours to make must be known."""
        if not self._is_stock():
            rank.check(self, input_shape)
        super().build(input_shape)
        strides_one = all(stride == 1 for stride in self.strides)
        if self.pad_values and self.padding == "same" and not strides_one and None in self._spatial(input_shape):
            raise ValueError(
                f"{self.name}: pad_values={self.pad_values} with strides={self.strides} needs inputs of known "
                f"{'height and width' if self.rank == 2 else 'size'}; got input_shape={tuple(input_shape)}"
            )

    def padded(self, inputs: Tensor, value: int | None = None) -> tuple[Tensor, str]:
        """Inputs and the `padding` that is left for the operation: "valid" where they are padded here.

        Args:
            inputs: (batch, ..., channels), or with the channels first.
            value: what to pad with; `pad_values` by default.
        """
        value = self.pad_values if value is None else value
        if not value and self.padding != "causal":
            return inputs, self.padding
        return ops.pad(inputs, self._pad_widths(inputs.shape), constant_values=value), "valid"

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
