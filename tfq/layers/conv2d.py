"""Two-dimensional convolution with quantized operands."""

from typing import TYPE_CHECKING, Any

from tfq.backend.keras import keras
from tfq.layers.convolution import QuantizedConvolution
from tfq.layers.input_scale import InputScale
from tfq.quantizers.base import QuantizerLike, register


@register
class QuantConv2D(InputScale, QuantizedConvolution, keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose input, kernel and output gradient pass through quantizers.

        y = conv(input_quantizer(x), kernel_quantizer(W)) [* K] + b

    With `kmap=True` the scale of the inputs is multiplied after the convolution (XNOR-Net, arXiv:1603.05279, section 3.2,
    equation 11): K = A * k with A the mean of |x| over the channels and k a box filter of value 1/(width height), moved with
    the convolution's own strides, dilation and padding; K is differentiated through |x|. Without quantizers the layer is
    Keras' own, bit for bit. Input and output shapes are those of `keras.layers.Conv2D`.

    Args:
        *args: as in `keras.layers.Conv2D`.
        input_quantizer: quantizer of the inputs, or None.
        kernel_quantizer: quantizer of the kernel, or None.
        gradient_quantizer: quantizer of the gradient that arrives at the output, such as `DoReFaGradients(6)`, or None.
        pad_values: what `padding="same"` pads the quantized inputs with: 0, 1 or -1. Zero is not a value of a binary
            input, so engines that compute on bits want 1 or -1. The inputs behind K are padded with its absolute value.
        kmap: multiply the output by K.
        **kwargs: as in `keras.layers.Conv2D`; `kernel_constraint` may also be `"weight_clip"`.

    Raises:
        ValueError: `pad_values` is not 0, 1 or -1, or does not fit `padding`; `kmap` with groups or without an input quantizer;
            a quantizer of another operand, such as `XnorWeights()` for the inputs.
    """

    if TYPE_CHECKING:  # all arguments of tfq, for editors, which do not look through `*args` and `**kwargs`

        def __init__(
            self,
            *args: Any,
            input_quantizer: QuantizerLike = None,
            kernel_quantizer: QuantizerLike = None,
            gradient_quantizer: QuantizerLike = None,
            pad_values: int = 0,
            kmap: bool = False,
            **kwargs: Any,
        ) -> None: ...
