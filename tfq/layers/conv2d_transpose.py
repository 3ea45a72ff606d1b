"""Two-dimensional transposed convolution with quantized operands."""

from tfq.backend.keras import keras
from tfq.layers.transposed_convolution import QuantizedTransposedConvolution
from tfq.quantizers.base import register


@register
class QuantConv2DTranspose(QuantizedTransposedConvolution, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` whose input, kernel and output gradient pass through quantizers.

        y = conv_transpose(input_quantizer(x), kernel_quantizer(W)) + b

    The kernel is (height, width, out, in): a quantizer with one scale a filter has `out` of them. Without quantizers the layer is
    Keras' own, bit for bit. Input and output shapes are those of `keras.layers.Conv2DTranspose`.

    Args:
        *args: as in `keras.layers.Conv2DTranspose`.
        input_quantizer: quantizer of the inputs, or None.
        kernel_quantizer: quantizer of the kernel, or None.
        gradient_quantizer: quantizer of the gradient that arrives at the output, or None.
        **kwargs: as in `keras.layers.Conv2DTranspose`; `kernel_constraint` may also be `"weight_clip"`.

    Raises:
        ValueError: a quantizer of another operand, such as `XnorWeights()` for the inputs.
    """
