"""Two-dimensional convolution with quantized operands."""

import numbers

from tfq.backend.gradients import promote
from tfq.backend.keras import keras, ops
from tfq.layers import padding
from tfq.layers.base import QuantizedLayer
from tfq.quantizers.base import check_flag, register


@register
class QuantConv2D(QuantizedLayer, keras.layers.Conv2D):
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

    def __init__(self, *args, pad_values=0, kmap=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.pad_values = pad_values
        self.kmap = check_flag(kmap, self.name, "kmap")
        self._check_options()
        self.pad_values = int(pad_values)

    def build(self, input_shape):
        """Add the weights; the size of a padding that is ours to make must be known."""
        super().build(input_shape)
        strides_one = all(stride == 1 for stride in self.strides)
        if self.pad_values and not strides_one and None in self._spatial(input_shape):
            raise ValueError(
                f"{self.name}: pad_values={self.pad_values} with strides={self.strides} needs inputs of known height and "
                f"width; got input_shape={tuple(input_shape)}"
            )

    def convolution_op(self, inputs, kernel):
        """The convolution of Keras, on quantized operands."""
        inputs = promote(inputs, self.compute_dtype)
        quantized, kernel = self._quantize_operands(inputs, kernel)
        outputs = self._padded_convolution(quantized, kernel, self.pad_values)
        return outputs * self._input_scale(inputs) if self.kmap else outputs

    def get_config(self):
        """Arguments of the constructor."""
        return {**super().get_config(), "pad_values": self.pad_values, "kmap": self.kmap}

    def _check_options(self):
        number = isinstance(self.pad_values, numbers.Real) and not isinstance(self.pad_values, bool)
        if not number or self.pad_values not in (0, 1, -1):
            raise ValueError(f"{self.name}: pad_values must be 0, 1 or -1; got pad_values={self.pad_values!r}")
        if self.pad_values and self.padding != "same":
            raise ValueError(f"{self.name}: pad_values={self.pad_values} needs padding='same'; got padding={self.padding!r}")
        if self.kmap and self.groups != 1:
            raise ValueError(f"{self.name}: kmap=True needs groups=1; got groups={self.groups}")
        if self.kmap and self.input_quantizer is None:
            raise ValueError(f"{self.name}: kmap=True scales quantized inputs, but input_quantizer is None")

    def _padded_convolution(self, inputs, kernel, pad_value):
        if not pad_value:
            return super().convolution_op(inputs, kernel)
        return ops.conv(
            ops.pad(inputs, self._pad_widths(inputs.shape), constant_values=pad_value),
            kernel,
            strides=list(self.strides),
            padding="valid",
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )

    def _input_scale(self, inputs):
        channel_axis = -1 if self.data_format == "channels_last" else 1
        magnitude = ops.mean(ops.abs(inputs), axis=channel_axis, keepdims=True)
        height, width = self.kernel_size
        box = ops.full((height, width, 1, 1), 1.0 / (height * width), dtype=magnitude.dtype)
        return self._padded_convolution(magnitude, box, abs(self.pad_values))

    def _spatial(self, shape):
        return tuple(shape[1:3] if self.data_format == "channels_last" else shape[2:4])

    def _pad_widths(self, shape):
        spatial = [
            padding.same(*sizes)
            for sizes in zip(self._spatial(shape), self.kernel_size, self.strides, self.dilation_rate, strict=True)
        ]
        return [(0, 0), *spatial, (0, 0)] if self.data_format == "channels_last" else [(0, 0), (0, 0), *spatial]
