"""The graph of a Keras model as a list of layer calls."""

from typing import NamedTuple

from tfq.compat import keras
from tfq.quantizers.base import FULL_PRECISION

# These select or rearrange values, so what was quantized in front of them still is behind them.
_KEEPS_VALUES = {"Flatten", "Reshape", "Permute", "Dropout", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D"}


class Call(NamedTuple):
    """One call of a layer: shapes without the batch axis, and the bits of the values that reach its first input."""

    name: str
    layer: object
    input_shapes: list
    output_shape: tuple
    input_bits: int


def calls(model, prefix=""):
    """The calls of the layers of a model in the order of computation, those of nested models as `outer/inner`.

    Args:
        model: functional or built Sequential Keras model.
        prefix: put in front of the names.

    Yields:
        `Call`.

    Raises:
        ValueError: the model has no graph of layers, or a shape is unknown.
    """
    bits = {}
    for node in nodes(model):
        layer, inputs, outputs = layer_of(node), inputs_of(node), outputs_of(node)
        input_bits = bits.get(id(inputs[0]), FULL_PRECISION) if inputs else FULL_PRECISION
        bits.update((id(output), _output_bits(layer, input_bits)) for output in outputs)
        if has_graph(layer):
            yield from calls(layer, f"{prefix}{layer.name}/")
        elif inputs:
            shapes = [_shape(tensor, layer) for tensor in inputs]
            yield Call(prefix + layer.name, layer, shapes, _shape(outputs[0], layer), input_bits)


def bits_of(quantizer):
    """Bits of what a quantizer produces; 32 for None and for one that does not say."""
    return getattr(quantizer, "bits", FULL_PRECISION)


def _graph(model):
    return getattr(model, "_functional", None) or model  # a Sequential of Keras 3 keeps its graph there


def has_graph(layer):
    """Whether a layer is a model with a graph of layers of its own."""
    return isinstance(layer, keras.Model) and hasattr(_graph(layer), "_nodes_by_depth")


def nodes(model):
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
def layer_of(node):
    """The layer that a node calls."""
    return node.operation if hasattr(node, "operation") else node.layer


def inputs_of(node):
    """The symbolic tensors that a node takes."""
    return list(node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors)


def options_of(node):
    """The keyword arguments of the call, such as `training`."""
    return node.arguments.kwargs if hasattr(node, "arguments") else node.call_kwargs


def outputs_of(node):
    """The symbolic tensors that a node gives."""
    return node.outputs if isinstance(node.outputs, list | tuple) else [node.outputs]


def _shape(tensor, layer):
    shape = tuple(tensor.shape)[1:]
    if None in shape:
        raise ValueError(f"layer {layer.name!r}: the cost needs a known shape; got {tuple(tensor.shape)}")
    return shape


def _output_bits(layer, input_bits):
    is_quantizer = hasattr(layer, "input_quantizer") and not hasattr(layer, "kernel_quantizer")
    if is_quantizer:
        return min(input_bits, bits_of(layer.input_quantizer))
    return input_bits if type(layer).__name__ in _KEEPS_VALUES else FULL_PRECISION
