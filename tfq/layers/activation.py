"""A quantizer as a layer of its own."""

from typing import Any

from tfq import quantizers
from tfq.backend.inputs import Float32Inputs
from tfq.backend.keras import Shape, Tensor, keras, ops
from tfq.layers.state import QuantizerState, arguments, state_of
from tfq.quantizers import half_precision
from tfq.quantizers.base import QuantizerLike, register


@register
class QuantActivation(Float32Inputs, keras.layers.Layer):
    """Applies a quantizer to its inputs; the shape stays.

    Args:
        input_quantizer: the quantizer, such as `XnorInputs()` or `DoReFaInputs(2)`; None passes the inputs on.
        **kwargs: as in `keras.layers.Layer`.

    Raises:
        ValueError: it is a quantizer of kernels or gradients; or its values are not apart in the type that the layer computes in.
    """

    def __init__(self, input_quantizer: QuantizerLike, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_quantizer = quantizers.get_for_inputs(input_quantizer)
        self._input_state: QuantizerState | None = None
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Add what the quantizer keeps."""
        half_precision.check_fits(self.input_quantizer, self.compute_dtype, self.name, "input_quantizer")
        self._input_state = state_of(self.input_quantizer, f"{self.name}_inputs", input_shape)
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Quantize `inputs`."""
        if self.input_quantizer is None:
            return inputs
        inputs = self.operand(inputs)
        if training and self._input_state is not None:
            self._input_state.observe(inputs)
        return ops.cast(self.input_quantizer(inputs, **self.input_arguments), self.operand_dtype(inputs))

    @property
    def input_arguments(self) -> dict[str, Any]:
        """What `input_quantizer` takes next to the inputs: what it keeps in this layer."""
        return arguments(self.input_quantizer, self._input_state)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "input_quantizer": quantizers.serialize(self.input_quantizer)}
