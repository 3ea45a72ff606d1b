"""Dense layer over any axes, by an einsum equation, with quantized operands."""

from tfq.backend.gradients import read
from tfq.backend.keras import Shape, Tensor, keras, ops
from tfq.layers.base import QuantizedLayer
from tfq.quantizers.base import register


@register
class QuantEinsumDense(QuantizedLayer, keras.layers.EinsumDense):
    """`keras.layers.EinsumDense` whose input, kernel and output gradient pass through quantizers.

        y = einsum(equation, input_quantizer(x), kernel_quantizer(W)) + b

    The axes of the kernel that the equation keeps in the output count its filters: in `"abc,cde->abde"` they are d and e, and a
    quantizer with one scale a filter has one for each (d, e). Without quantizers the layer is Keras' own, bit for bit. Input and
    output shapes are those of `keras.layers.EinsumDense`.

    Args:
        *args: as in `keras.layers.EinsumDense`.
        input_quantizer: quantizer of the inputs, or None.
        kernel_quantizer: quantizer of the kernel, or None.
        gradient_quantizer: quantizer of the gradient that arrives at the output, or None.
        **kwargs: as in `keras.layers.EinsumDense`; `kernel_constraint` may also be `"weight_clip"`.

    Raises:
        ValueError: a quantizer of another operand, such as `XnorWeights()` for the inputs; inputs of other axes than those of
            the equation.
    """

    @property
    def channel_axis(self) -> tuple[int, ...]:  # type: ignore[override]
        """The axes of the kernel that the equation keeps, from behind."""
        operands, kept = self.equation.split("->")
        of_kernel = operands.split(",")[1]
        return tuple(axis - len(of_kernel) for axis, letter in enumerate(of_kernel) if letter in kept)

    def build(self, input_shape: Shape) -> None:
        """Add the weights."""
        of_inputs = self.equation.split(",")[0]
        named = len(of_inputs.replace("...", ""))
        if len(input_shape) < named or (len(input_shape) > named and "..." not in of_inputs):
            raise ValueError(f"{self.name}: expected inputs of the axes {of_inputs!r}; got {tuple(input_shape)}")
        super().build(input_shape)

    def quantized_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The sum of products."""
        return ops.einsum(self.equation, inputs, kernel)

    def _with_bias(self, outputs):
        return outputs if self.bias is None else outputs + read(self.bias)  # its shape is made to fit
