"""What a layer does, as far as its cost goes."""

from typing import Any

from tfq import walk
from tfq.backend.keras import keras
from tfq.layers.base import QuantizedLayer


def _layers(*names):
    return tuple(getattr(keras.layers, name) for name in names)


TRANSPOSED = _layers("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
SEPARABLE = _layers("SeparableConv1D", "SeparableConv2D")
EINSUM = _layers("EinsumDense")

_KINDS = {
    "convolution": (
        *_layers("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D"),
        *TRANSPOSED,
        *SEPARABLE,
    ),
    "dense": (*_layers("Dense"), *EINSUM),
    "normalization": _layers("BatchNormalization"),
    "pooling": tuple(
        getattr(keras.layers, f"{name}Pooling{n}D")
        for name in ("Max", "Average", "GlobalMax", "GlobalAverage")
        for n in (1, 2, 3)
    ),
    "activation": _layers("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
    "lookup": _layers("Embedding"),
}
# Known by name: in Keras 3 `x + y` makes an operation `Add` that is no layer.
_ELEMENTWISE = {"Add", "Subtract", "Multiply"}
# They multiply matrices that are no weights.
_PRODUCTS = {"Dot", "Attention", "AdditiveAttention", "Matmul", "Einsum", "Tensordot"}


def kind_of(layer: Any) -> str:
    """Convolution, dense, normalization, pooling, activation, lookup, elementwise or other."""
    if type(layer).__name__ in _ELEMENTWISE:
        return "elementwise"
    kind = next((kind for kind, classes in _KINDS.items() if isinstance(layer, classes)), "other")
    if kind == "other" and isinstance(layer, QuantizedLayer):
        return "dense" if len(layer.kernels[0].latent.shape) == 2 else "convolution"
    return kind


def multiplies_by_weights(kind: str) -> bool:
    """Whether layers of a kind multiply their inputs by a kernel, and add up."""
    return kind in ("convolution", "dense")


def is_of_layers(layer: Any) -> bool:
    """Whether a layer or model of one's own, or of Keras, computes by layers that it holds, which multiply by weights."""
    if kind_of(layer) != "other" or not isinstance(layer, keras.layers.Layer):  # it may be an operation of `keras.ops`
        return False
    return any(multiplies_by_weights(kind_of(inner)) for _, inner in walk.layers(layer))


def multiplies_matrices(layer: Any) -> bool:
    """Whether a layer of no known kind has a matrix, or multiplies its inputs by each other."""
    has_matrix = any(len(weight.shape) >= 2 for weight in getattr(layer, "weights", []))
    return kind_of(layer) == "other" and (has_matrix or type(layer).__name__ in _PRODUCTS)
