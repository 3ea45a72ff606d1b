"""A quantizer of gradients as a layer: the identity forward, quantized backward."""

import random
import zlib
from typing import Any

from tfq import quantizers
from tfq.backend import replicas
from tfq.backend.keras import SHARED_STATE, Shape, Tensor, keras, ops
from tfq.quantizers import half_precision
from tfq.quantizers.base import QuantizerLike, register


@register
class QuantGradient(keras.layers.Layer):
    """Passes its inputs on unchanged and, in training, quantizes the gradient that comes back.

    The key of the noise is a weight of this layer, so that it is saved with the model (Keras does not save the state of a
    `SeedGenerator`): each training step takes the key in the forward call and moves it on, and makes the noise from it in the
    backward pass. `QuantConv2D` and `QuantDense` put this layer behind themselves for their `gradient_quantizer`.

    Args:
        gradient_quantizer: the quantizer, such as `DoReFaGradients(6)`; it is called with the inputs and the key.
        **kwargs: as in `keras.layers.Layer`.

    Raises:
        ValueError: it is a quantizer of something else.
    """

    def __init__(self, gradient_quantizer: QuantizerLike, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gradient_quantizer: Any = quantizers.get_for_gradients(gradient_quantizer)
        if self.gradient_quantizer is None:
            raise ValueError("gradient_quantizer must quantize gradients, such as DoReFaGradients(6); got None")

    def build(self, input_shape: Shape) -> None:
        """Add the key: a seed and a counter."""
        half_precision.check_fits(self.gradient_quantizer, self.compute_dtype, self.name, "gradient_quantizer")
        self.key = self.add_weight(name="key", shape=(2,), dtype="int32", initializer="zeros", trainable=False, **SHARED_STATE)
        self.key.assign([self._seed(), 0])
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """`inputs`, with a quantized gradient in training."""
        if not training:
            return inputs
        key = self.key + 0  # a copy: the variable moves on before the backward pass
        self.key.assign(key + ops.convert_to_tensor([0, 1], dtype="int32"))
        return self.gradient_quantizer(inputs, replicas.key(key))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "gradient_quantizer": quantizers.serialize(self.gradient_quantizer)}

    def _seed(self):
        seed = self.gradient_quantizer.seed
        if seed is None:
            return random.randint(1, 10**9)
        # Layers that share a quantizer must not share their noise.
        return (seed + zlib.crc32(self.name.encode())) % 2**31
