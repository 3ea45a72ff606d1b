"""Activation functions of networks with binary weights, and their names."""

from typing import Any

from tfq import quantizers, ste
from tfq.backend.keras import Tensor, add_custom_objects, is_legacy, is_symbolic, keras, ops


@keras.saving.register_keras_serializable(package="tfq")
def hard_tanh(x: Tensor) -> Tensor:
    """Clips to [-1, 1].

        y = min(max(x, -1), 1),   dy/dx = [|x| <= 1]

    Arguments and values are those of `keras.activations.hard_tanh`; the gradient is 1 at both ends on every backend.
    """
    return keras.layers.Activation(hard_tanh)(x) if is_symbolic(x) else ste.clip_inclusive(x)


@keras.saving.register_keras_serializable(package="tfq")
def leaky_tanh(x: Tensor, alpha: float = 0.2) -> Tensor:
    """As `hard_tanh`, with a slope outside of [-1, 1].

        y = x if |x| <= 1 else h + alpha (x - h),   h = hard_tanh(x),   dy/dx = 1 if |x| <= 1 else alpha

    Args:
        x: tensor.
        alpha: the slope.
    """
    clipped = ops.clip(x, -1, 1)
    return ops.where(ops.abs(x) <= 1, x, clipped + (x - clipped) * alpha)


_BY_NAME = {"leaky_tanh": leaky_tanh}
if is_legacy:
    _BY_NAME["hard_tanh"] = hard_tanh  # of which Keras 3 has one
    add_custom_objects(_BY_NAME)


def get(identifier: Any) -> Any:
    """As `keras.activations.get`, and knows `"leaky_tanh"` and the names of quantizers, such as `"ste_sign"`.

    In Keras 3 these names work in the layers of tfq only.
    """
    if not isinstance(identifier, str):
        return identifier
    if identifier in _BY_NAME:
        return _BY_NAME[identifier]
    return quantizers.get(identifier) if identifier in quantizers.NAMES else identifier
