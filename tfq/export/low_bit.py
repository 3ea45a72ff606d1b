"""The layers of a model whose operands take few bits, those of nested models too."""

from tfq import walk
from tfq.backend.keras import keras
from tfq.layers.base import QuantizedLayer
from tfq.quantizers.base import FULL_PRECISION


def quantized(model: keras.Model) -> list[tuple[str, QuantizedLayer]]:
    """(name, layer) of each convolution or dense layer of tfq whose kernel is quantized."""
    return [(name, layer) for name, layer in walk.layers(model) if _is_quantized(layer)]


def names(model: keras.Model) -> tuple[str, ...]:
    """Names of the layers whose kernel takes fewer bits than float32."""
    return tuple(name for name, layer in quantized(model) if getattr(layer.kernel_quantizer, "bits", 0) < FULL_PRECISION)


def _is_quantized(layer):
    return isinstance(layer, QuantizedLayer) and layer.kernel_quantizer is not None
