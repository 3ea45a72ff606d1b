"""Whether a model prepares its pixels itself: statistics that are not those of no preparation would do it twice."""

import numpy as np

from tfq.compat import keras
from tfq.complexity.graph import has_graph, inputs_of, layer_of, nodes, outputs_of
from tfq.export.errors import ExportError
from tfq.export.layers import Call, Unsupported, converter_of, does_nothing

# 0 to 255 in front of such a layer are a few units behind it; pixels that were scaled before would be less than one step apart.
_WIDEST = 32


def own_preparation(model):
    """The layer that brings pixels from 0 to 255 to a small range, first of all in the model; None where there is none.

    Args:
        model: functional or built Sequential model, of `Rescaling` or `Normalization` in front.
    """
    tensor = model.inputs[0]
    for node in nodes(model):
        layer = layer_of(node)
        if isinstance(layer, keras.layers.InputLayer) or id(tensor) not in map(id, inputs_of(node)):
            continue
        if has_graph(layer):
            return own_preparation(layer)
        if not does_nothing(layer):
            return layer if _scale(layer, tensor) * 255 <= _WIDEST else None
        tensor = outputs_of(node)[0]
    return None


def check_once(model, mean, std):
    """Raise ExportError where statistics would prepare pixels that the model prepares itself.

    Args:
        model: the model, of any kind.
        mean: per channel, of pixels scaled to [0, 1], or None.
        std: likewise.
    """
    layer = own_preparation(model) if mean is not None and has_graph(model) else None
    if layer is None:
        return
    # With which (x / 255 - mean) / std is x.
    if not (np.allclose(mean, 0, atol=1e-3) and np.allclose(std, 1 / 255, rtol=1e-2)):
        raise ExportError(
            f"layer {layer.name!r} of the model prepares pixels from 0 to 255 itself, and pixel_mean and pixel_std would prepare "
            "them twice: leave both out, or give 0 and 1/255 to make the file take uint8 images as they are"
        )


def _scale(layer, tensor):
    """What a layer multiplies its inputs with, at most; infinite for one that is no preparation."""
    if type(layer) not in (keras.layers.Rescaling, keras.layers.Normalization):
        return np.inf
    try:
        ((_, attributes),) = converter_of(layer)(Call(layer.name, layer, [tuple(tensor.shape)[1:]], None))
    except Unsupported:
        return np.inf
    return np.abs(attributes["scale"]).max()
