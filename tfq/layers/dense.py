"""Dense layer with quantized operands."""

from tfq.backend.keras import keras, ops
from tfq.layers.base import QuantizedLayer
from tfq.quantizers.base import register


@register
class QuantDense(QuantizedLayer, keras.layers.Dense):
    """`keras.layers.Dense` whose input, kernel and output gradient pass through quantizers.

        y = input_quantizer(x) kernel_quantizer(W) + b

    Without quantizers the layer is Keras' own, bit for bit. Input and output shapes are those of `keras.layers.Dense`.

    Args:
        *args: as in `keras.layers.Dense`.
        input_quantizer: quantizer of the inputs, or None.
        kernel_quantizer: quantizer of the kernel, or None.
        gradient_quantizer: quantizer of the gradient that arrives at the output, or None.
        **kwargs: as in `keras.layers.Dense`; `kernel_constraint` may also be `"weight_clip"`.

    Raises:
        ValueError: a quantizer of another operand, such as `XnorWeights()` for the inputs.
    """

    def call(self, inputs, training=None):
        """The product of Keras, on quantized operands; in training its output gradient is quantized too."""
        if self.input_quantizer is None and self.kernel_quantizer is None:
            return super().call(inputs, training=training)
        if training:
            self._observe(inputs)
        # Keras gives its dense layers no seam for another kernel, so the sum is written out here.
        inputs, kernel = self._quantize_operands(inputs, self.kernel)
        outputs = ops.matmul(inputs, kernel)
        if self.use_bias:
            outputs = outputs + self.bias
        if self.activation is not None:
            outputs = self.activation(outputs)
        return self._with_quantized_gradient(outputs, training)
