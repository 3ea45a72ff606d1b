"""The graph of a Keras model as a list of layer calls."""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from tfq.backend.keras import keras
from tfq.quantizers.base import FULL_PRECISION

_SIZES = ("1D", "2D", "3D")
# These select, repeat or rearrange values, or do nothing at inference: what was quantized in front of them still is behind them.
# The zeros of a padding count as those of a convolution's own `padding="same"` do, that is, not.
_KEEPS_VALUES = {
    *("Flatten", "Reshape", "Permute", "RepeatVector", "Identity", "ActivityRegularization", "QuantGradient", "Concatenate"),
    *("Maximum", "Minimum"),  # of values of the same kind
    *(f"{name}{size}" for name in ("MaxPooling", "GlobalMaxPooling", "ZeroPadding", "Cropping", "UpSampling") for size in _SIZES),
    *("RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "RandomContrast", "RandomBrightness"),
    # Operations of `keras.ops`; `GetItem` is `x[...]`.
    *("Transpose", "Squeeze", "ExpandDims", "Swapaxes", "Moveaxis", "Flip", "Roll", "GetItem", "Take", "Split"),
    *("Repeat", "Tile", "Stack", "StopGradient", "Max", "Min", "MaxPool"),
}
# Likewise, unless they are called with `training=True`.
_KEEPS_VALUES_AT_INFERENCE = {
    *("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
    *(f"SpatialDropout{size}" for size in _SIZES),
}
# What comes out of them has passed their `activation` last.
_ACTIVATED = (
    *(f"Conv{size}{kind}" for size in _SIZES for kind in ("", "Transpose")),
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "Dense", "EinsumDense", "Activation"),
)


class Call(NamedTuple):
    """One call of a layer: shapes without the batch axis, None for a size that is not known, and the bits of what reaches it."""

    name: str
    layer: Any
    input_shapes: list[tuple[int | None, ...]]
    output_shape: tuple[int | None, ...]
    input_bits: int


def calls(model: keras.Model, prefix: str = "", bits_of_inputs: Sequence[int] = ()) -> Generator[Call, None, list[int]]:
    """The calls of the layers of a model in the order of computation, those of nested models as `outer/inner`.

    Args:
        model: functional or built Sequential Keras model.
        prefix: put in front of the names.
        bits_of_inputs: bits of the values that each input of the model takes; 32 where nothing is said.

    Yields:
        `Call`.

    Returns:
        List of the bits of the values of each output.

    Raises:
        ValueError: the model has no graph of layers.
    """
    listed = nodes(model)
    bits = {id(tensor): given for tensor, given in zip(_graph(model).inputs, bits_of_inputs, strict=False)}
    for node in listed:
        layer, inputs, outputs = layer_of(node), inputs_of(node), outputs_of(node)
        of_inputs = [bits.get(id(tensor), FULL_PRECISION) for tensor in inputs]
        if has_graph(layer):
            of_outputs = yield from calls(layer, f"{prefix}{layer.name}/", of_inputs)
            bits.update((id(output), given) for output, given in zip(outputs, of_outputs, strict=False))
        elif inputs:
            bits.update((id(output), _output_bits(node, max(of_inputs))) for output in outputs)
            shapes = [_shape(tensor) for tensor in inputs]
            yield Call(prefix + layer.name, layer, shapes, _shape(outputs[0]), max(of_inputs))
    return [bits.get(id(tensor), FULL_PRECISION) for tensor in _graph(model).outputs]


def unwrapped(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer that a wrapper, such as tfmot's, holds; or the layer itself."""
    return layer.layer if isinstance(layer, keras.layers.Wrapper) else layer


def bits_of(quantizer: Any) -> int:
    """Bits of what a quantizer produces; 32 for None and for one that does not say. Larq's call it `precision`."""
    bits = getattr(quantizer, "bits", getattr(quantizer, "precision", None))
    return FULL_PRECISION if bits is None else bits


def bits_behind(function: Any, input_bits: int) -> int:
    """Bits of what a quantizer, or any other function, makes of values of `input_bits`."""
    if function is None or function is keras.activations.linear or getattr(function, "is_off", False):
        return input_bits
    bits = bits_of(function)
    return min(input_bits, bits) if bits < FULL_PRECISION else FULL_PRECISION


def _graph(model):
    return getattr(model, "_functional", None) or model  # a Sequential of Keras 3 keeps its graph there


def has_graph(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a model with a graph of layers of its own."""
    return isinstance(layer, keras.Model) and hasattr(_graph(layer), "_nodes_by_depth")


def nodes(model: keras.Model) -> list:
    """The nodes of Keras' graph in the order of computation, those of its inputs among them.

    Raises:
        ValueError: the model has no graph of layers.
    """
    if not has_graph(model):
        raise ValueError(
            "a model is read off its graph of layers: expected a functional or a built Sequential model; "
            f"got {type(model).__name__} {getattr(model, 'name', '')!r}"
        )
    by_depth = _graph(model)._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


# Keras 3 and tf_keras call the parts of a node differently.
def layer_of(node: Any) -> keras.layers.Layer:
    """The layer that a node calls."""
    return node.operation if hasattr(node, "operation") else node.layer


def inputs_of(node: Any) -> list:
    """The symbolic tensors that a node takes."""
    return list(node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors)


def options_of(node: Any) -> dict[str, Any]:
    """The keyword arguments of the call, such as `training`."""
    return node.arguments.kwargs if hasattr(node, "arguments") else node.call_kwargs


def arguments_of(node: Any) -> tuple[Any, dict[str, Any]]:
    """All arguments of the call, with symbolic tensors in them: positional ones, and those by keyword."""
    if hasattr(node, "arguments"):
        return node.arguments.args, node.arguments.kwargs
    return node.call_args, node.call_kwargs


def outputs_of(node: Any) -> Sequence[Any]:
    """The symbolic tensors that a node gives."""
    return node.outputs if isinstance(node.outputs, list | tuple) else [node.outputs]


def _shape(tensor):
    return tuple(tensor.shape)[1:]


def _output_bits(node, input_bits):
    layer = unwrapped(layer_of(node))
    if _is_one(layer, _ACTIVATED) or hasattr(layer, "kernel_quantizer"):
        given = input_bits if _is_one(layer, ("Activation",)) else FULL_PRECISION
        return bits_behind(getattr(layer, "activation", None), given)
    if hasattr(layer, "input_quantizer"):
        return bits_behind(layer.input_quantizer, input_bits)
    return input_bits if _keeps_values(layer, node) else FULL_PRECISION


def _keeps_values(layer, node):
    name = type(layer).__name__
    if name in _KEEPS_VALUES_AT_INFERENCE:
        return not options_of(node).get("training")
    # Between neighbours lies what is no level.
    return name in _KEEPS_VALUES and getattr(layer, "interpolation", "nearest") == "nearest"


def _is_one(layer, names):
    return any(isinstance(layer, getattr(keras.layers, name)) for name in names)
