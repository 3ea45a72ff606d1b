"""What the quantized transposed convolutions of any rank share."""

from tfq.backend.keras import Shape, Tensor, is_legacy, ops
from tfq.layers import rank
from tfq.layers.base import QuantizedLayer


class QuantizedTransposedConvolution(QuantizedLayer):
    """Mixin, in front of a transposed convolution of Keras, whose kernel is (..., out, in).

    Its padding cuts the outputs, so that there are no values to pad the inputs with.

    Raises:
        ValueError: `dilation_rate` of three axes in tf_keras, whose own layer takes it and leaves it out.
    """

    channel_axis = -2

    def check_options(self) -> None:
        """Raise ValueError where the layer of Keras takes an option and leaves it out."""
        if is_legacy and self.rank == 3 and set(self.dilation_rate) != {1}:
            raise ValueError(f"{self.name}: tf_keras has no dilation in Conv3DTranspose; got dilation_rate={self.dilation_rate}")

    def build(self, input_shape: Shape) -> None:
        """Add the weights."""
        if not self._is_stock():
            rank.check(self, input_shape)
        super().build(input_shape)

    def quantized_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The transposed convolution."""
        return ops.conv_transpose(
            inputs, kernel, list(self.strides), self.padding, self.output_padding, self.data_format, self.dilation_rate
        )
