"""Keras' own quantization, by `layer.quantize(...)` or a dtype policy, which a quantized layer of tfq refuses."""

from typing import Any

from tfq.backend.keras import LayerMixin, keras_3


class RefusesKerasQuantization(LayerMixin):
    """Mixin, in front of a layer of Keras, whose kernel is quantized already; Keras would compute with the latent one.

    Raises:
        ValueError: the policy of the layer is one of Keras' quantized ones, such as `int8_from_float32`.
    """

    def check_policy(self) -> None:
        """Raise ValueError if Keras is to quantize this layer."""
        mode = getattr(self, "quantization_mode", None)  # tf_keras has none
        if mode is not None and not self._is_still_to_be_looked_up():
            raise ValueError(self._refusal(mode))

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        """Refuse. `model.quantize(mode)` warns of what is not implemented, and goes on with the other layers.

        Raises:
            NotImplementedError: always.
            ValueError: instead, with `type_check=False`, so that a model says so, too.
        """
        raise (NotImplementedError if type_check else ValueError)(self._refusal(mode))

    def quantized_build(self, *args: Any, **kwargs: Any) -> None:
        """Refuse what Keras calls for a layer of a quantized policy."""
        self.check_policy()

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """Likewise; `call`, where a map of policies has another for this layer."""
        self.check_policy()
        return self.call(*args, **kwargs)

    def _is_still_to_be_looked_up(self):
        """Whether its policy is one of a map, which knows a layer by the path that it has once it is built."""
        return isinstance(self.dtype_policy, keras_3.dtype_policies.DTypePolicyMap) and not self.path

    def _refusal(self, mode):
        return (
            f"layer {self.name!r} ({type(self).__name__}) is quantized by tfq, and Keras' quantization {mode!r} would take the "
            "latent kernel instead; expected a dtype policy of floats, such as 'float32' or 'mixed_bfloat16', and the bits in "
            "its quantizers"
        )
