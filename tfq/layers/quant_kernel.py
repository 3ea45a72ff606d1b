"""A quantizer of kernels as a layer of its own."""

from typing import Any

from tfq import quantizers
from tfq.backend.gradients import promote
from tfq.backend.keras import Shape, Tensor, keras, ops
from tfq.layers.state import QuantizerState, arguments, state_of
from tfq.quantizers.base import QuantizerLike, register


@register
class QuantKernel(keras.layers.Layer):
    """Applies a quantizer of kernels to its inputs, a kernel that a part of the model has computed; the shape stays.

    Args:
        kernel_quantizer: the quantizer, such as `XnorWeights()`.
        channel_axis: the axes that count the filters, as in `KernelQuantizer`.
        **kwargs: as in `keras.layers.Layer`.

    Raises:
        ValueError: it is a quantizer of something else.
    """

    def __init__(
        self, kernel_quantizer: QuantizerLike, channel_axis: int | tuple[int, ...] | list[int] = -1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_quantizer: Any = quantizers.get_for_kernel(kernel_quantizer)
        if self.kernel_quantizer is None:
            raise ValueError("kernel_quantizer must quantize kernels, such as XnorWeights(); got None")
        self.channel_axis = tuple(channel_axis) if isinstance(channel_axis, list) else channel_axis
        self._state: QuantizerState | None = None

    def build(self, input_shape: Shape) -> None:
        """Add what the quantizer keeps."""
        self._state = state_of(self.kernel_quantizer, f"{self.name}_kernel", input_shape, self.channel_axis)
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Quantize `inputs`."""
        inputs = promote(inputs, self.compute_dtype)
        if training and self._state is not None:
            self._state.observe(inputs)
        quantized = self.kernel_quantizer(inputs, **arguments(self.kernel_quantizer, self._state, self.channel_axis))
        return ops.cast(quantized, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        own = {"kernel_quantizer": quantizers.serialize(self.kernel_quantizer), "channel_axis": self.channel_axis}
        return {**super().get_config(), **own}
