"""Dense layer with quantized operands."""

from tfq.backend.keras import Tensor, keras, ops
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

    def quantized_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The matrix product."""
        return ops.matmul(inputs, kernel)
