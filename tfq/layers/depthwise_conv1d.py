"""One-dimensional depthwise convolution with quantized operands."""

from tfq.backend.keras import keras
from tfq.layers.depthwise_convolution import QuantizedDepthwiseConvolution
from tfq.quantizers.base import register


@register
class QuantDepthwiseConv1D(QuantizedDepthwiseConvolution, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` whose input, kernel and output gradient pass through quantizers.

        y[.., c m + j] = conv(input_quantizer(x)[.., c], kernel_quantizer(W)[.., c, j]) + b,   m = depth_multiplier

    The kernel is (length, in, depth_multiplier). A filter is one (length) of it: a quantizer with one scale a filter has in x
    depth_multiplier of them. Without quantizers the layer is Keras' own, bit for bit. Input and output shapes are those of
    `keras.layers.DepthwiseConv1D`.

    Args:
        *args: as in `keras.layers.DepthwiseConv1D`.
        input_quantizer: quantizer of the inputs, or None.
        kernel_quantizer: quantizer of the kernel, or None.
        gradient_quantizer: quantizer of the gradient that arrives at the output, or None.
        pad_values: what `padding="same"` pads the quantized inputs with: 0, 1 or -1. Zero is not a value of a binary input.
        **kwargs: as in `keras.layers.DepthwiseConv1D`; `depthwise_constraint` may also be `"weight_clip"`.

    Raises:
        ValueError: `pad_values` is not 0, 1 or -1, or does not fit `padding`; a quantizer of another operand, such as
            `XnorWeights()` for the inputs.
    """
