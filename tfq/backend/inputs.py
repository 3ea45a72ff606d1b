"""The dtype that a layer is given its inputs in, on either Keras."""

from typing import Any

from tfq.backend.gradients import promote
from tfq.backend.keras import LayerMixin, Tensor, is_legacy, ops

__all__ = ["Float32Inputs"]


class Float32Inputs(LayerMixin):
    """Mixin, in front of a layer of Keras with an `input_quantizer`, which sees float32 under a mixed-precision policy.

    Keras would cast inputs to the type that the layer computes in, and values next to a boundary of the quantizer would change
    sides.
    """

    @property
    def sees_float32(self) -> bool:
        """Whether inputs stay float32 until they are quantized: under a mixed policy, where there is a quantizer that is on."""
        quantizer = getattr(self, "input_quantizer", None)
        is_on = quantizer is not None and not getattr(quantizer, "is_off", False)
        is_mixed = self.compute_dtype in ("bfloat16", "float16") and self.variable_dtype == "float32"
        return is_on and is_mixed and self._casts_inputs()

    def operand(self, inputs: Tensor) -> Tensor:
        """`inputs` as the quantizer takes them: integers as floats."""
        return promote(inputs, "float32" if self.sees_float32 else self.compute_dtype)

    def operand_dtype(self, inputs: Tensor) -> str:
        """What the operation computes in, of the inputs that `operand` gave."""
        return self.compute_dtype if self.sees_float32 else inputs.dtype

    if is_legacy:

        def _casts_inputs(self):
            return self._autocast

        def _cast_single_input(self, x):
            if self.sees_float32 and self._should_cast_single_input(x):
                return ops.cast(x, "float32")
            return super()._cast_single_input(x)

    else:

        def _casts_inputs(self):
            return self.autocast

        @property
        def input_dtype(self) -> Any:
            """As in Keras: the dtype that it casts inputs to."""
            return "float32" if self.sees_float32 else super().input_dtype
