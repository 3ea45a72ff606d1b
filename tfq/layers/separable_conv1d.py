"""One-dimensional separable convolution with quantized operands."""

from tfq.backend.keras import keras
from tfq.layers.separable_convolution import QuantizedSeparableConvolution
from tfq.quantizers.base import register


@register
class QuantSeparableConv1D(QuantizedSeparableConvolution, keras.layers.SeparableConv1D):
    """`keras.layers.SeparableConv1D` whose input, kernels and output gradient pass through quantizers.

        y = conv(depthwise_conv(input_quantizer(x), depthwise_quantizer(W)), pointwise_quantizer(V)) + b

    What the depthwise convolution gives is not quantized. A depthwise filter is one (length) of its kernel (length, in,
    depth_multiplier); the pointwise kernel has `filters` of them. Without quantizers the layer is Keras' own, bit for bit. Input
    and output shapes are those of `keras.layers.SeparableConv1D`.

    Args:
        *args: as in `keras.layers.SeparableConv1D`.
        input_quantizer: quantizer of the inputs, or None.
        depthwise_quantizer: quantizer of the depthwise kernel, or None.
        pointwise_quantizer: quantizer of the pointwise kernel, or None.
        gradient_quantizer: quantizer of the gradient that arrives at the output, or None.
        pad_values: what `padding="same"` pads the quantized inputs with: 0, 1 or -1. Zero is not a value of a binary input.
        **kwargs: as in `keras.layers.SeparableConv1D`; constraints of the kernels may also be `"weight_clip"`.

    Raises:
        ValueError: `pad_values` is not 0, 1 or -1, or does not fit `padding`; a quantizer of another operand, such as
            `XnorWeights()` for the inputs.
    """
