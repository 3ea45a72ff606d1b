"""What the quantized transposed convolutions of any rank share."""

from tfq.backend.keras import Tensor, ops
from tfq.layers.base import QuantizedLayer


class QuantizedTransposedConvolution(QuantizedLayer):
    """Mixin, in front of a transposed convolution of Keras, whose kernel is (..., out, in).

    Its padding cuts the outputs, so that there are no values to pad the inputs with.
    """

    channel_axis = -2

    def quantized_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The transposed convolution."""
        return ops.conv_transpose(
            inputs, kernel, list(self.strides), self.padding, self.output_padding, self.data_format, self.dilation_rate
        )
