"""RPReLU of ReActNet (Liu et al. 2020, arXiv:2003.03488): a leaky ReLU whose corner is trained."""

from typing import Any

from tfq.backend.keras import Shape, Tensor, keras, ops
from tfq.quantizers.base import check_axis, register


@register
class RPReLU(keras.layers.Layer):
    """A leaky ReLU with a slope and two shifts a channel, which are trained.

        y = x - gamma + zeta if x > gamma else beta (x - gamma) + zeta
        dy/dx := 1 if x > gamma else beta;   dy/dgamma = -dy/dx,   dy/dbeta = min(x - gamma, 0),   dy/dzeta = 1

    ReActNet, section 4.2, where it follows each binary convolution; `tfq.quantizers.RSignInputs` is the other half of the method.
    The slope starts from 0.25, both shifts from 0. The shape stays. A `.tfq` file does not hold it.

    Args:
        axis: of the channels; as in Keras' batch normalization.
        **kwargs: as in `keras.layers.Layer`.

    Raises:
        ValueError: `axis` is no integer; or, in `build`, no axis of the inputs with a known size.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = check_axis(axis, "RPReLU")
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Add gamma, beta and zeta, one value a channel each."""
        rank = len(input_shape)
        if not -rank <= self.axis < rank or input_shape[self.axis] is None:
            raise ValueError(
                f"RPReLU {self.name!r}: axis={self.axis} must have a known size; got inputs of shape {tuple(input_shape)}"
            )
        shape = tuple(size if axis == self.axis % rank else 1 for axis, size in enumerate(input_shape))
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="zeros")
        self.beta = self.add_weight(name="beta", shape=shape, initializer=keras.initializers.Constant(0.25))
        self.zeta = self.add_weight(name="zeta", shape=shape, initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """Bend `inputs` at gamma."""
        distance = ops.subtract(ops.cast(inputs, self.compute_dtype), self.gamma)
        return ops.add(ops.where(distance > 0, distance, ops.multiply(distance, self.beta)), self.zeta)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "axis": self.axis}
