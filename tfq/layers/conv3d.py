"""Three-dimensional convolution with quantized operands."""

from tfq.backend.keras import keras
from tfq.layers.convolution import QuantizedConvolution
from tfq.quantizers.base import register


@register
class QuantConv3D(QuantizedConvolution, keras.layers.Conv3D):
    """`keras.layers.Conv3D` whose input, kernel and output gradient pass through quantizers.

        y = conv(input_quantizer(x), kernel_quantizer(W)) + b

    Without quantizers the layer is Keras' own, bit for bit. Input and output shapes are those of `keras.layers.Conv3D`.

    Args:
        *args: as in `keras.layers.Conv3D`.
        input_quantizer: quantizer of the inputs, or None.
        kernel_quantizer: quantizer of the kernel, or None.
        gradient_quantizer: quantizer of the gradient that arrives at the output, or None.
        pad_values: what `padding="same"` pads the quantized inputs with: 0, 1 or -1. Zero is not a value of a binary input.
        **kwargs: as in `keras.layers.Conv3D`; `kernel_constraint` may also be `"weight_clip"`.

    Raises:
        ValueError: `pad_values` is not 0, 1 or -1, or does not fit `padding`; a quantizer of another operand, such as
            `XnorWeights()` for the inputs.
    """
