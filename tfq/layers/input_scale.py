"""The scale K of the inputs, by which XNOR-Net multiplies what comes out of a convolution of signs."""

import math
from typing import Any

from tfq.backend.keras import LayerMixin, Tensor, ops
from tfq.quantizers.base import check_flag


class InputScale(LayerMixin):
    """Mixin, in front of `QuantizedConvolution`, for the scale of the inputs.

        K = A * k,   A = mean of |x| over the channels,   k a box filter of value 1 / (number of its cells)

    XNOR-Net (arXiv:1603.05279), section 3.2, equation 11. The box is moved with the convolution's own strides, dilation and
    padding; A is padded with |pad_values|. K is differentiated through |x|.

    Args:
        *args: as in the convolution.
        kmap: multiply the output by K.
        **kwargs: as in the convolution.

    Raises:
        ValueError: `kmap` with groups or without an input quantizer.
    """

    def __init__(self, *args: Any, kmap: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kmap = check_flag(kmap, self.name, "kmap")
        if self.kmap and self.groups != 1:
            raise ValueError(f"{self.name}: kmap=True needs groups=1; got groups={self.groups}")
        if self.kmap and self.input_quantizer is None:
            raise ValueError(f"{self.name}: kmap=True scales quantized inputs, but input_quantizer is None")

    def scale_outputs(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """`outputs` times K."""
        return outputs * self._input_scale(inputs) if self.kmap else outputs

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "kmap": self.kmap}

    def _input_scale(self, inputs):
        channel_axis = -1 if self.data_format == "channels_last" else 1
        magnitude = ops.mean(ops.abs(inputs), axis=channel_axis, keepdims=True)
        box = ops.full((*self.kernel_size, 1, 1), 1.0 / math.prod(self.kernel_size), dtype=magnitude.dtype)
        padded, padding = self.padded(magnitude, abs(self.pad_values))
        return ops.conv(padded, box, list(self.strides), padding, self.data_format, self.dilation_rate)
