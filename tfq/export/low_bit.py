"""The layers of a model whose operands take few bits, those of nested models too."""

from tfq.layers.base import QuantizedLayer
from tfq.quantizers.base import FULL_PRECISION


def layers_of(model, prefix=""):
    """(name, layer) of each layer of a model, and of those nested in it as `outer/inner`; each once."""
    return {id(layer): (name, layer) for name, layer in _walk(model, prefix)}.values()


def _walk(model, prefix):
    for layer in model.layers:
        name = prefix + layer.name
        yield name, layer
        if hasattr(layer, "layers"):
            yield from _walk(layer, f"{name}/")
        elif hasattr(layer, "layer"):  # a wrapper, such as TimeDistributed
            yield f"{name}/{layer.layer.name}", layer.layer


def quantized(model):
    """(name, layer) of each convolution or dense layer of tfq whose kernel is quantized."""
    return [(name, layer) for name, layer in layers_of(model) if _is_quantized(layer)]


def names(model):
    """Names of the layers whose kernel takes fewer bits than float32."""
    return tuple(name for name, layer in quantized(model) if getattr(layer.kernel_quantizer, "bits", 0) < FULL_PRECISION)


def _is_quantized(layer):
    return isinstance(layer, QuantizedLayer) and layer.kernel_quantizer is not None
