"""What the quantized depthwise convolutions of any rank share."""

from tfq.backend.keras import Tensor, is_legacy, ops
from tfq.layers.convolution import QuantizedConvolution


class QuantizedDepthwiseConvolution(QuantizedConvolution):
    """Mixin, in front of a depthwise convolution of Keras, whose kernel is (..., in, depth_multiplier)."""

    channel_axis = (-2, -1)
    kernel_name = "depthwise_kernel" if is_legacy else "kernel"
    constraint_argument = "depthwise_constraint"

    def quantized_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The convolution of each channel with its own filters."""
        inputs, padding = self.padded(inputs)
        return ops.depthwise_conv(inputs, kernel, self.strides, padding, self.data_format, self.dilation_rate)
