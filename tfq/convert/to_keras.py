"""A `.tfq` file as a Keras model again: to evaluate it, to look into it, or to go on training from it."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tfq import layers
from tfq.backend.keras import keras, ops
from tfq.backend.settings import plain_settings
from tfq.convert.kernels import array
from tfq.convert.layers import is_again
from tfq.convert.names import unique
from tfq.files import PathLike
from tfq.graph import file, kernels
from tfq.graph import nodes as g
from tfq.optional import require
from tfq.quantizers import DoReFaInputs, DoReFaWeights, LSQWeights, TernaryWeights, XnorInputs, XnorWeights

# Added to a variance of 1 - epsilon it is 1 exactly, so that gamma and beta are the scale and shift of the file.
_EPSILON = 2.0**-10
# Largest relative error of a kernel that is quantized again.
_ROUNDING = 1e-6
# Bits of a sum that float32 holds exactly.
_EXACT_BITS = 24


def load_packed(path: PathLike) -> keras.Model:
    """The network of a `.tfq` file as a functional Keras model that computes the same in inference.

    Packed kernels become latent ones of a quantizer that gives them again; folded batch normalization becomes one with mean 0
    and variance 1. The optimizer, latent weights and moving statistics of the training are not in the file: before the model is
    trained further, `tfq.training.restore_statistics` gives it such statistics. It takes
    float32 images prepared as for the training: (x / 255 - mean) / std, with the statistics in `tfq.graph.file.read(path)`.

    Args:
        path: the file.

    Returns:
        `keras.Model`.

    Raises:
        FileError: it is not a `.tfq` file, damaged, or of a later version.
        OSError: it cannot be opened.
        ImportError: safetensors is not installed.
    """
    return to_keras(file.read(path))


@plain_settings()
def to_keras(graph: g.Graph) -> keras.Model:
    """The functional Keras model of a `tfq.graph.nodes.Graph`; see `load_packed`."""
    names = _Names()
    inputs = keras.Input(tuple(graph.input_shape), name=names.of(g.INPUT))
    tensors = {g.INPUT: inputs}
    for node in graph.nodes:
        is_sequence = bool(node.inputs) and len(graph.shapes[node.inputs[0]]) == 2
        layer, weights = _converter_of(node, is_sequence)(node, names.of(node.name))
        given = [tensors[name] for name in node.inputs]
        tensors[node.name] = layer(given if len(given) > 1 or isinstance(node, g.Concatenate) else given[0])
        if weights:
            layer.set_weights(weights)
    return keras.Model(inputs, tensors[graph.nodes[-1].name])


class _Names:
    """Names that Keras and its backends take for layers."""

    def __init__(self):
        self._used = set()

    def of(self, name):
        base = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        return unique(base if base[0].isalnum() else f"layer_{base}", self._used)


# Layers of Keras and of tfq, by the axes that windows move along.
_CONVOLUTIONS = {1: (keras.layers.Conv1D, layers.QuantConv1D), 2: (keras.layers.Conv2D, layers.QuantConv2D)}
_DEPTHWISE = {
    1: (keras.layers.DepthwiseConv1D, layers.QuantDepthwiseConv1D),
    2: (keras.layers.DepthwiseConv2D, layers.QuantDepthwiseConv2D),
}
_TRANSPOSED = {
    1: (keras.layers.Conv1DTranspose, layers.QuantConv1DTranspose),
    2: (keras.layers.Conv2DTranspose, layers.QuantConv2DTranspose),
}


def _conv(node, name):
    *size, in_group, filters = node.kernel.shape
    options = _window(node)
    own = {"pad_values": node.pad_value, **({"kmap": True} if getattr(node, "kmap", False) else {})}
    kinds, arrange = _CONVOLUTIONS, None
    # TensorFlow's depthwise convolution takes equal strides alone, and no Keras pads its inputs in front alone.
    if in_group == 1 < node.groups and len(set(node.strides)) == 1 and node.padding != "causal":
        kinds, shape = _DEPTHWISE, (*size, node.groups, filters // node.groups)
        options["depth_multiplier"] = shape[-1]

        def arrange(values):
            return values.reshape(shape)

    else:
        options |= {"filters": filters, "groups": node.groups}
    stock, ours = kinds[len(size)]
    if not _is_quantized(node) and not any(own.values()):
        return _product(stock, node, name, arrange, **options)
    return _product(ours, node, name, arrange, **options, **own, **_input_quantizer(node))


def _transposed(node, name):
    options = {**_window(node), "filters": node.kernel.shape[-1], "output_padding": node.output_padding}
    stock, ours = _TRANSPOSED[len(node.strides)]
    if _is_quantized(node):
        return _product(ours, node, name, _with_filters_first, **options, **_input_quantizer(node))
    return _product(stock, node, name, _with_filters_first, **options)


def _with_filters_first(values):
    """Keras' transposed kernel is (..., out, in)."""
    return values.swapaxes(-1, -2)


def _window(node):
    size = tuple(node.kernel.shape[:-2])
    return {"kernel_size": size, "strides": node.strides, "dilation_rate": node.dilations, "padding": node.padding}


def _dense(node, name):
    units = node.kernel.shape[-1]
    if not _is_quantized(node):
        return _product(keras.layers.Dense, node, name, units=units)
    return _product(layers.QuantDense, node, name, units=units, **_input_quantizer(node))


def _is_quantized(node):
    return node.quantizer is not None or isinstance(node.kernel, g.PackedKernel)


def _input_quantizer(node):
    return {"input_quantizer": _quantizer(node.quantizer)}


def _product(cls, node, name, arrange=None, **options):
    """A convolution or dense layer, and its weights; `arrange` gives values of the graph's kernel in the layer's own order."""
    quantizer, kernel, state = _latent(node.kernel)
    if quantizer is not None:
        options["kernel_quantizer"] = quantizer
    layer = cls(use_bias=node.bias is not None, name=name, **options)
    return layer, [kernel if arrange is None else arrange(kernel), *([] if node.bias is None else [node.bias]), *state.values()]


def _latent(kernel):
    """A quantizer, the latent kernel of which it makes this one, and what it keeps in the layer, in the order of the weights.

    No quantizer where none makes it, as for a float kernel: it is kept as it is, in float32.
    """
    if isinstance(kernel, g.FloatKernel):
        return None, kernel.values, {}
    values = kernels.values(kernel).astype(np.float32)
    if kernel.coding not in _QUANTIZERS:
        return None, values, {}
    quantizer, latent, *states = _QUANTIZERS[kernel.coding](kernel, values)
    state = states[0] if states else {}
    again = array(quantizer(ops.convert_to_tensor(latent), **{name: ops.convert_to_tensor(x) for name, x in state.items()}))
    is_same = np.allclose(again, values, rtol=_ROUNDING, atol=_ROUNDING * abs(values).max())
    return (quantizer, latent, state) if is_same else (None, values, {})


def _of_levels(kernel, values):
    # tanh(W) / max |tanh(W)| is the value of the code, if one of them is 1; none is where the latent weights were all zero.
    latent = np.arctanh(values / 2) if abs(values).max() == 1 else np.zeros_like(values)
    return DoReFaWeights(kernel.bits), latent.astype(np.float32)


def _of_binary(kernel, values):
    return XnorWeights(), _with_exact_mean(values.reshape(-1, values.shape[-1])).reshape(values.shape)


def _of_ternary(kernel, values):
    per_filter = len(kernel.scale) > 1
    columns = values.reshape(-1, values.shape[-1] if per_filter else 1)
    return TernaryWeights(per_filter), _with_exact_mean(columns).reshape(values.shape)


def _of_integers(kernel, values):
    return LSQWeights(kernel.bits), values, {"step_change": np.float32(0), "step_start": abs(kernel.scale[0])}


def _with_exact_mean(columns):
    """Columns of 0 and +-s as two sizes next to s, whose float32 sum has no rounding error, and whose mean is s.

    The float32 sum of n values s is off by up to n / 2^24, as the backend adds them; the mean of these by 1 / 2^24 or so.
    """
    size, is_used = np.abs(columns).astype(np.float64), columns != 0
    count, scale = is_used.sum(axis=0), size.max(axis=0)
    bits = np.maximum(_EXACT_BITS - 1 - np.ceil(np.log2(count + 1)), 1)
    step = 2.0 ** (np.frexp(scale)[1] - bits)
    lower = np.floor(scale / step)
    # So many of them are larger by a step.
    larger = np.rint((scale / step - lower) * count)
    size = (lower + (np.cumsum(is_used, axis=0) <= larger)) * step
    return (np.sign(columns) * size).astype(np.float32)


_QUANTIZERS = {"binary": _of_binary, "ternary": _of_ternary, "levels": _of_levels, "integer": _of_integers}


def _scale_shift(node, name):
    layer = keras.layers.BatchNormalization(epsilon=_EPSILON, name=name)
    return layer, [node.scale, node.shift, np.zeros_like(node.scale), np.full_like(node.scale, 1 - _EPSILON)]


def _quantizer(quantizer):
    if quantizer is None:
        return None
    return XnorInputs() if isinstance(quantizer, g.Sign) else DoReFaInputs(quantizer.bits)


def _hard_tanh(node, name):
    function = getattr(keras.activations, "hard_tanh", None) or require("larq").activations.hard_tanh  # tf_keras has none
    return keras.layers.Activation(function, name=name), []


def _zero_pad(node, name):
    top, bottom, left, right = node.widths
    return keras.layers.ZeroPadding2D(((top, bottom), (left, right)), name=name), []


def _pool(cls):
    return lambda node, name: (cls(node.pool_size, node.strides, node.padding, name=name), [])


def _global_pool(cls):
    return lambda node, name: (cls(keepdims=node.keepdims, name=name), [])


# A layer and its weights, of a node and a name.
_LAYERS = {
    g.Conv1D: _conv,
    g.Conv2D: _conv,
    g.Conv1DTranspose: _transposed,
    g.Conv2DTranspose: _transposed,
    g.Dense: _dense,
    g.ScaleShift: _scale_shift,
    g.ReLU: lambda node, name: (keras.layers.ReLU(node.max_value, name=name), []),
    g.HardTanh: _hard_tanh,
    g.Quantize: lambda node, name: (layers.QuantActivation(_quantizer(node.quantizer), name=name), []),
    g.ZeroPad: _zero_pad,
    g.MaxPool: _pool(keras.layers.MaxPooling2D),
    g.AveragePool: _pool(layers.AveragePooling2D),
    g.GlobalMaxPool: _global_pool(keras.layers.GlobalMaxPooling2D),
    g.GlobalAveragePool: _global_pool(keras.layers.GlobalAveragePooling2D),
    g.Add: lambda node, name: (keras.layers.Add(name=name), []),
    g.Concatenate: lambda node, name: (keras.layers.Concatenate(name=name), []),
    g.Reshape: lambda node, name: (keras.layers.Reshape(node.shape, name=name), []),
}

# Those of what images and sequences share, for sequences.
_LAYERS_OF_SEQUENCES = {
    g.ZeroPad: lambda node, name: (keras.layers.ZeroPadding1D(node.widths, name=name), []),
    g.MaxPool: _pool(keras.layers.MaxPooling1D),
    g.AveragePool: _pool(keras.layers.AveragePooling1D),
    g.GlobalMaxPool: _global_pool(keras.layers.GlobalMaxPooling1D),
    g.GlobalAveragePool: _global_pool(keras.layers.GlobalAveragePooling1D),
}


# From an operation and a name to the layer and its weights.
Converter: TypeAlias = Callable[[Any, str], tuple[keras.layers.Layer, Sequence[np.ndarray]]]


def register_to_keras(cls: type[g.Node]) -> Callable[[Converter], Converter]:
    """A decorator: this function makes a layer of an operation of this class, for `load_packed`.

        @tfq.convert.register_to_keras(SwishNode)
        def swish(node, name):
            return Swish(node.beta, name=name), []

    It takes the operation and a name for the layer, and returns the layer and its weights, in the order of `set_weights`.

    Args:
        cls: subclass of `tfq.graph.Node`.

    Raises:
        TypeError: something else is given.
        ValueError: it has another such function already.
    """
    if not (isinstance(cls, type) and issubclass(cls, g.Node)):
        raise TypeError(f"tfq.convert.register_to_keras takes a class of operations; got {cls!r}")

    def keep(function: Converter) -> Converter:
        if cls in _LAYERS and not is_again(function, _LAYERS[cls]):
            raise ValueError(f"{cls.__name__} has a layer already")
        _LAYERS[cls] = function
        return function

    return keep


def _converter_of(node, is_sequence):
    if is_sequence and type(node) in _LAYERS_OF_SEQUENCES:
        return _LAYERS_OF_SEQUENCES[type(node)]
    if type(node) not in _LAYERS:
        raise TypeError(
            f"operation {node.name!r} is a {type(node).__name__}, of which no layer of Keras is known: see "
            "tfq.convert.register_to_keras"
        )
    return _LAYERS[type(node)]
