"""Whether a model prepares its pixels itself: statistics that are not those of no preparation would do it twice."""

import numpy as np

from tfq.backend.keras import keras
from tfq.convert import kernels
from tfq.convert.layers import Call, Unsupported, converter_of, does_nothing
from tfq.export.errors import ExportError
from tfq.export.sample import Statistics
from tfq.keras_graph import has_graph, inputs_of, layer_of, nodes, outputs_of

# 0 to 255 in front of such a layer are a few units behind it; pixels that were scaled before would be less than one step apart.
_WIDEST = 32
# They are the same pixels behind these, though elsewhere or some fewer.
_MOVES_PIXELS = {
    *("CenterCrop", "Cropping2D", "Flatten", "MaxPooling2D", "Permute", "RandomCrop", "Reshape", "Resizing", "UpSampling2D"),
    *("AveragePooling2D", "ZeroPadding2D"),
}
# What `x / 255` and its kin are: operations of Keras 3, and the symbols of those of tf_keras.
_ARITHMETIC = {
    *("Add", "Subtract", "Multiply", "Divide", "TrueDivide"),
    *("__operators__.add", "math.add", "math.subtract", "math.multiply", "math.divide", "math.truediv"),
}


def own_preparation(model: keras.Model) -> keras.layers.Layer | None:
    """The layer that brings pixels from 0 to 255 to a small range; None where a layer of another kind takes them first.

    Args:
        model: functional or built Sequential model, of `Rescaling`, `Normalization` or arithmetic with constants (`x / 255`) in
            front, behind what changes the place of pixels alone. Models may be nested in it.
    """
    scale = 1.0
    for node in _on_the_way(model):
        layer = layer_of(node)
        if not _keeps_pixels(layer):
            scale *= _scale(node)
            if scale * 255 <= _WIDEST:
                return layer
            if not np.isfinite(scale):
                return None
    return None


def _on_the_way(model):
    """The nodes that the pixels go through one after another, those of nested models in the place of these."""
    tensor = model.inputs[0]
    for node in nodes(model):
        layer = layer_of(node)
        if isinstance(layer, keras.layers.InputLayer) or id(tensor) not in map(id, inputs_of(node)):
            continue
        if has_graph(layer):
            yield from _on_the_way(layer)
        else:
            yield node
        tensor = outputs_of(node)[0]


def _keeps_pixels(layer):
    is_identity = type(layer) is keras.layers.Activation and layer.activation is keras.activations.linear
    return is_identity or does_nothing(layer) or type(layer).__name__ in _MOVES_PIXELS


def check_once(model: keras.Model, mean: Statistics | None, std: Statistics | None) -> None:
    """Raise ExportError where statistics would prepare pixels that the model prepares itself.

    Args:
        model: the model, of any kind.
        mean: per channel, of pixels scaled to [0, 1], or None.
        std: likewise.
    """
    layer = own_preparation(model) if mean is not None and has_graph(model) else None
    if layer is None or mean is None or std is None:
        return
    # With which (x / 255 - mean) / std is x.
    if not (np.allclose(mean, 0, atol=1e-3) and np.allclose(std, 1 / 255, rtol=1e-2)):
        raise ExportError(
            f"layer {layer.name!r} of the model prepares pixels from 0 to 255 itself, and pixel_mean and pixel_std would prepare "
            "them twice: leave both out, or give 0 and 1/255 to make the file take uint8 images as they are"
        )


def _scale(node):
    """What a layer or operation multiplies its inputs with, at most; infinite for one that is no preparation."""
    layer, (tensor, *others) = layer_of(node), inputs_of(node)
    shape = tuple(tensor.shape)[1:]
    if not others and getattr(layer, "symbol", type(layer).__name__) in _ARITHMETIC and not _has_weights(layer):
        black, white = (_computed(node, np.full((1, 1, 1, shape[-1]), value, np.float32)) for value in (0, 255))
        return np.abs(white - black).max() / 255
    if type(layer) not in (keras.layers.Rescaling, keras.layers.Normalization):
        return np.inf
    try:
        ((_, attributes),) = converter_of(layer)(Call(layer.name, layer, [shape], None))  # type: ignore[misc]
    except Unsupported:
        return np.inf
    return np.abs(attributes["scale"]).max()


def _has_weights(layer):
    return bool(getattr(layer, "weights", ()))


def _computed(node, values):
    """What an operation gives for these values in the place of its tensor."""
    tensors = set(map(id, inputs_of(node)))
    arguments = getattr(node, "arguments", None)
    args, kwargs = (node.call_args, node.call_kwargs) if arguments is None else (arguments.args, arguments.kwargs)
    given = [values if id(value) in tensors else value for value in args]
    options = {name: values if id(value) in tensors else value for name, value in kwargs.items()}
    return kernels.array(layer_of(node)(*given, **options))
