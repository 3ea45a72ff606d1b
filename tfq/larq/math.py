"""larq's step functions: those of `tfq.ste`, without a gradient."""

from tfq import ste
from tfq.backend.keras import Tensor, is_symbolic, keras

__all__ = ["heaviside", "sign"]


@keras.saving.register_keras_serializable(package="tfq")
def sign(x: Tensor) -> Tensor:
    """`tfq.ste.sign` of `x`; of a tensor of a functional model a new layer in it."""
    return keras.layers.Activation(sign)(x) if is_symbolic(x) else ste.sign(x)


@keras.saving.register_keras_serializable(package="tfq")
def heaviside(x: Tensor) -> Tensor:
    """`tfq.ste.heaviside` of `x`; of a tensor of a functional model a new layer in it."""
    return keras.layers.Activation(heaviside)(x) if is_symbolic(x) else ste.heaviside(x)
