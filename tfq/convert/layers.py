"""What each Keras layer is in a `.tfq` graph: operations, the first on the layer's inputs, each later one on the one before."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tfq import activations, layers
from tfq.backend.keras import REPEATS_EDGES, Tensor, keras
from tfq.convert import kernels
from tfq.graph import nodes as g
from tfq.layers import padding
from tfq.layers.kernels import kernels_of, latent_kernel
from tfq.quantizers.base import Quantizer
from tfq.quantizers.grids import Levels, Sign

# The operations that a call of a layer becomes: classes and attributes.
Operations: TypeAlias = list[tuple[type[g.Node], dict[str, Any]]]


class Unsupported(ValueError):
    """A model, layer or option that a `.tfq` graph does not have; the message names it and what there is."""


class Call(NamedTuple):
    """One call of a layer: its name in the model, and shapes without the batch axis."""

    name: str
    layer: Any
    input_shapes: list[tuple[int, ...]]
    output_shape: tuple[int, ...] | None

    def refuse(self, reason: str) -> Unsupported:
        """The error for this layer."""
        return Unsupported(f"layer {self.name!r} ({type(self.layer).__name__}) cannot be packed: {reason}")

    def product(self, operation: type, shape: tuple | None = None, **attributes: object) -> list:
        """The operations of a layer with a kernel: kernel, bias and input quantizer are its own, packed; its activation follows.

        Args:
            operation: `Conv1D`, `Conv2D` or `Dense` of `tfq.graph.nodes`, or one of one's own with attributes `kernel`, `bias`
                and `quantizer`.
            shape: of the kernel with its filters in the last axis, where the layer's own is another.
            **attributes: what else the operation takes.

        Raises:
            Unsupported: a quantizer or the activation has no form in a graph; the message names the layer.
        """
        (kernel,) = kernels_of(self.layer)
        arrange = None if shape is None else lambda values: values.reshape(shape)
        attributes = {"kernel": _kernel(self, kernel, arrange), "bias": _bias(self), **attributes}
        return [*_on_quantized(self, operation, attributes), *_activation(self)]


# What `register` keeps.
Converter: TypeAlias = Callable[[Call], Operations]


class InputRule(NamedTuple):
    """What a quantizer of inputs is in a graph: x -> factor * quantizer(scale x + shift); None for one that does nothing.

    Scale and shift are numbers, or one a channel.
    """

    quantizer: g.Sign | g.Levels | None
    factor: float = 1.0
    scale: Any = 1.0
    shift: Any = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether the graph's quantizer takes the inputs as they are."""
        return bool(np.all(self.scale == 1) and not np.any(self.shift))

    def brought(self, x: Any) -> Any:
        """The inputs that the graph's quantizer takes, in their own type."""
        return x if self.is_plain else x * _like(self.scale) + _like(self.shift)


def _on_quantized(call, operation, attributes):
    """An operation on quantized inputs."""
    rule = _input_rule(call, getattr(call.layer, "input_quantizer", None))
    return _with_scaled_inputs(call, (operation, {**attributes, "quantizer": rule.quantizer}), rule)


def _like(value):
    return np.float32(value) if np.ndim(value) else float(value)


def _with_scaled_inputs(call, product, rule):
    """A product on inputs that are scaled and shifted in front of it; the scale of the kernel makes up for their levels."""
    if rule.is_plain and rule.factor == 1:
        return [product]
    operation, attributes = product
    if rule.factor != 1 and (attributes.get("pad_value") or attributes.get("kmap")):
        raise call.refuse(
            f"{call.layer.input_quantizer!r} ends on levels up to {rule.factor:.3g}: pad_values must be 0, and kmap False"
        )
    if attributes.get("kmap"):
        raise call.refuse(f"{call.layer.input_quantizer!r} scales or shifts its inputs: kmap must be False")
    kernel = attributes["kernel"] if rule.factor == 1 else kernels.scaled(attributes["kernel"], rule.factor)
    front = [] if rule.is_plain else [_in_front(call, rule)]
    return [*front, (operation, {**attributes, "kernel": kernel})]


# Convolutions by the axes that their windows move along.
_CONVOLUTIONS = {1: g.Conv1D, 2: g.Conv2D}
_TRANSPOSED = {1: g.Conv1DTranspose, 2: g.Conv2DTranspose}


def _conv(call):
    kmap = {"kmap": True} if getattr(call.layer, "kmap", False) else {}
    return call.product(_CONVOLUTIONS[_axes(call)], **_window(call), groups=call.layer.groups, **kmap)


def _depthwise(call):
    """A convolution in as many groups as there are channels; the filters of a channel are one group's."""
    channels = call.input_shapes[0][-1]
    shape = _filters_of_channels(latent_kernel(call.layer)).shape
    return call.product(_CONVOLUTIONS[_axes(call)], shape, **_window(call), groups=channels)


def _separable(call):
    """A depthwise convolution, and one of single pixels on what it gives, as it is."""
    window = _window(call)
    depthwise, pointwise = kernels_of(call.layer)
    operation, axes = _CONVOLUTIONS[_axes(call)], (1,) * _axes(call)
    first = {"kernel": _kernel(call, depthwise, _filters_of_channels), "groups": call.input_shapes[0][-1], **window}
    second = {"kernel": _kernel(call, pointwise), "bias": _bias(call), "strides": axes, "dilations": axes, "padding": "valid"}
    return [*_on_quantized(call, operation, first), (operation, second), *_activation(call)]


def _filters_of_channels(values):
    """A depthwise kernel (..., in, depth multiplier) as that of a convolution in groups, (..., 1, filters)."""
    *size, channels, multiplier = values.shape
    return np.reshape(values, (*size, 1, channels * multiplier))


def _transposed(call):
    """Keras' kernel is (..., out, in)."""
    layer = call.layer
    (kernel,) = kernels_of(layer)
    attributes = {"kernel": _kernel(call, kernel, lambda values: values.swapaxes(-1, -2)), "bias": _bias(call), **_window(call)}
    del attributes["pad_value"]
    padding = layer.output_padding
    attributes["output_padding"] = (padding,) * _axes(call) if isinstance(padding, int) else padding and tuple(padding)
    return [*_on_quantized(call, _TRANSPOSED[_axes(call)], attributes), *_activation(call)]


def _axes(call):
    """How many axes windows move along."""
    return len(call.input_shapes[0]) - 1


def _window(call):
    """How a convolution moves, and what it pads with."""
    layer = call.layer
    _check_channels_last(call)
    return {
        "strides": tuple(layer.strides),
        "dilations": tuple(layer.dilation_rate),
        "padding": layer.padding,
        "pad_value": getattr(layer, "pad_values", 0),
    }


def _dense(call):
    return call.product(g.Dense)


def _kernel(call, kernel, arrange=None):
    """One of the kernels of a layer, packed; `arrange` gives its values with the filters in the last axis."""
    if getattr(call.layer, "quantization_mode", None) or getattr(call.layer, "lora_enabled", False):
        raise call.refuse("Keras' own quantization and LoRA have no packed form")
    try:
        return kernels.of_kernel(kernel, arrange)
    except kernels.KernelError as error:
        raise call.refuse(str(error)) from error


def _bias(call):
    bias = getattr(call.layer, "bias", None)
    return None if bias is None else kernels.array(bias)


def _input_rule(call, quantizer):
    is_own = quantizer is getattr(call.layer, "input_quantizer", None)
    try:
        return input_rule(quantizer, **(getattr(call.layer, "input_arguments", {}) if is_own else {}))
    except TypeError as error:
        raise call.refuse(str(error)) from error


def input_rule(quantizer: Callable[..., Tensor] | None, **state: Tensor) -> InputRule:
    """The `InputRule` of a quantizer of inputs.

    Args:
        quantizer: the quantizer, or None.
        **state: what it keeps in its layer, the layer's `input_arguments`.

    Raises:
        TypeError: it has no form in a graph.
    """
    if quantizer is None or getattr(quantizer, "is_off", False):
        return InputRule(None)
    scale, shift = (isinstance(quantizer, Quantizer) and quantizer.affine(**state)) or (1.0, 0.0)
    match quantizer.grid(**state) if isinstance(quantizer, Quantizer) else None:
        case Sign():
            return InputRule(g.Sign(), 1.0, scale, shift)
        case Levels(bits, low, high) if low == 0 and high != 0:
            return InputRule(g.Levels(bits), float(high), scale / high, shift / high)
        case _:
            name = type(quantizer).__name__
            raise TypeError(
                f"its inputs are quantized by {name}; supported are XnorInputs, DoReFaInputs, LSQInputs and others of their grids"
            )


def of_inputs(quantizer: Callable[..., Tensor] | None) -> g.Sign | g.Levels | None:
    """What a quantizer of inputs that keeps nothing, and whose levels end at 1, is in a graph; None where it leaves them as is.

    Raises:
        TypeError: it has no form there.
    """
    rule = input_rule(quantizer)
    if rule.factor != 1 or not rule.is_plain:
        raise TypeError(f"its inputs are quantized by {quantizer!r}, whose levels end at {rule.factor:.3g}; supported is 1")
    return rule.quantizer


def _activation(call):
    """The operation of the function that a layer applies to its result; none for the identity."""
    function = getattr(call.layer, "activation", None)
    if function is None or function is keras.activations.linear:
        return []
    if function is keras.activations.relu:
        return [(g.ReLU, {})]
    if function is getattr(keras.activations, "relu6", 0):
        return [(g.ReLU, {"max_value": 6.0})]
    if _is_hard_tanh(function):
        return [(g.HardTanh, {})]
    if isinstance(function, Quantizer):
        return _quantize(call, function)
    name = getattr(function, "__name__", type(function).__name__)
    hint = ": let the model give logits, which rank the classes alike" if name == "softmax" else ""
    raise call.refuse(
        f"its activation is {name}; supported are linear, relu, relu6, hard_tanh, XnorInputs and DoReFaInputs{hint}"
    )


def _is_hard_tanh(function):
    # Keras 3 has it, tfq too, and larq for tf_keras: all are clip(x, -1, 1).
    if function in (getattr(keras.activations, "hard_tanh", 0), activations.hard_tanh):
        return True
    return (getattr(function, "__module__", ""), getattr(function, "__name__", "")) == ("larq.activations", "hard_tanh")


def _quantize(call, quantizer):
    rule = _input_rule(call, quantizer)
    if rule.quantizer is None:
        return []
    front = [] if rule.is_plain else [_in_front(call, rule)]
    behind = [] if rule.factor == 1 else [_affine(call, rule.factor, 0.0)]
    return [*front, (g.Quantize, {"quantizer": rule.quantizer}), *behind]


def _in_front(call, rule):
    return _affine(call, rule.scale, rule.shift)


def _affine(call, scale, shift):
    """A scale and a shift, as one a channel of the inputs each."""
    channels = call.input_shapes[0][-1]
    return _scale_shift(*(np.broadcast_to(np.asarray(value, np.float64), (channels,)) for value in (scale, shift)))


def _quant_activation(call):
    return _quantize(call, call.layer.input_quantizer)


def _batch_normalization(call):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta as x * scale + shift, computed in float64."""
    layer = call.layer
    axis = layer.axis if isinstance(layer.axis, int) else tuple(layer.axis)
    rank = len(call.input_shapes[0])
    if axis not in (-1, rank, (-1,), (rank,)):
        raise call.refuse(f"it normalizes axis {axis}; supported is the last one")
    with np.errstate(all="ignore"):  # what is not finite is refused by name
        scale = 1 / np.sqrt(_float64(layer.moving_variance) + layer.epsilon)
        if layer.scale:
            scale = scale * _float64(layer.gamma)
        shift = -_float64(layer.moving_mean) * scale
        if layer.center:
            shift = shift + _float64(layer.beta)
    return [_scale_shift(scale, shift)]


def _rescaling(call):
    channels = call.input_shapes[0][-1]
    values = [np.asarray(value, np.float64) for value in (call.layer.scale, call.layer.offset)]
    if any(value.shape not in ((), (1,), (channels,)) for value in values):
        raise call.refuse(f"its scale and offset must be numbers, or one a channel; got {[value.shape for value in values]}")
    return [_scale_shift(*(np.broadcast_to(value, (channels,)) for value in values))]


def _normalization(call):
    """(x - mean) / max(sqrt(variance), epsilon), or with `invert` the way back, as x * scale + shift, computed in float64."""
    layer, channels = call.layer, call.input_shapes[0][-1]
    values = [_float64(value) for value in (layer.mean, layer.variance)]
    if any(value.size not in (1, channels) or value.shape[-1:] not in ((), (value.size,)) for value in values):
        raise call.refuse(f"it normalizes axis {layer.axis}; supported is the last one, or all at once (None)")
    mean, variance = (np.broadcast_to(value.ravel(), (channels,)) for value in values)
    deviation = np.maximum(np.sqrt(variance), keras.backend.epsilon())
    return [_scale_shift(deviation, mean) if layer.invert else _scale_shift(1 / deviation, -mean / deviation)]


def _scale_shift(scale, shift):
    with np.errstate(over="ignore"):  # likewise
        return g.ScaleShift, {"scale": scale.astype(np.float32), "shift": shift.astype(np.float32)}


def _float64(x):
    return kernels.array(x).astype(np.float64)


def _relu(call):
    layer = call.layer
    if float(layer.negative_slope) or float(layer.threshold):
        raise call.refuse("negative_slope and threshold must be 0")
    return [(g.ReLU, {"max_value": None if layer.max_value is None else float(layer.max_value)})]


def _pool(operation):
    def convert(call):
        _check_channels_last(call)
        layer = call.layer
        return [(operation, {"pool_size": tuple(layer.pool_size), "strides": tuple(layer.strides), "padding": layer.padding})]

    return convert


def _average_of_keras(call):
    layer, sizes = call.layer, call.input_shapes[0][:-1]
    if REPEATS_EDGES and layer.padding == "same":
        widths = [padding.same(*of_axis) for of_axis in zip(sizes, layer.pool_size, layer.strides, strict=True)]
        if any(front != behind for front, behind in widths):
            instead = "take tfq.layers.AveragePooling2D" if len(sizes) == 2 else "choose a size that pads both ends alike"
            raise call.refuse(
                f"on {'x'.join(map(str, sizes))} inputs Keras repeats their edge on PyTorch, and on no other backend: {instead}"
            )
    return _pool(g.AveragePool)(call)


def _global_pool(operation):
    def convert(call):
        _check_channels_last(call)
        return [(operation, {"keepdims": bool(call.layer.keepdims)})]

    return convert


def _zero_padding(call):
    _check_channels_last(call)
    return [(g.ZeroPad, {"widths": tuple(int(width) for width in np.ravel(call.layer.padding))})]


def _add(call):
    if len(call.input_shapes) < 2:
        raise call.refuse("it adds a constant; supported are sums of two tensors or more, and Rescaling for constants")
    return [(g.Add, {})]


def _concatenate(call):
    rank = len(call.output_shape)
    if call.layer.axis not in (-1, rank):
        raise call.refuse(f"it joins along axis {call.layer.axis}; supported is the last one")
    return [(g.Concatenate, {})]


def _reshape(call):
    return [] if call.output_shape == call.input_shapes[0] else [(g.Reshape, {"shape": call.output_shape})]


def _flatten(call):
    _check_channels_last(call)
    return _reshape(call)


def _nothing(call):
    return []


def _check_channels_last(call):
    # tf_keras' ZeroPadding1D has one alone.
    if getattr(call.layer, "data_format", "channels_last") != "channels_last":
        raise call.refuse(f"data_format must be 'channels_last'; got {call.layer.data_format!r}")


# Not all of them are in every Keras.
_DO_NOTHING = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
    "Identity",
    # Augmentation, in training alone. (`RandomCrop` crops at inference too.)
    "AugMix",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)

# By class, not by isinstance: a subclass computes something else.
CONVERTERS = {
    **dict.fromkeys((layers.QuantConv1D, layers.QuantConv2D, keras.layers.Conv1D, keras.layers.Conv2D), _conv),
    **dict.fromkeys((layers.QuantDepthwiseConv1D, layers.QuantDepthwiseConv2D), _depthwise),
    **dict.fromkeys((keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D), _depthwise),
    **dict.fromkeys((layers.QuantSeparableConv1D, layers.QuantSeparableConv2D), _separable),
    **dict.fromkeys((keras.layers.SeparableConv1D, keras.layers.SeparableConv2D), _separable),
    **dict.fromkeys((layers.QuantConv1DTranspose, layers.QuantConv2DTranspose), _transposed),
    **dict.fromkeys((keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose), _transposed),
    layers.QuantDense: _dense,
    keras.layers.Dense: _dense,
    layers.QuantActivation: _quant_activation,
    layers.QuantGradient: _nothing,
    layers.BatchNormalization: _batch_normalization,
    keras.layers.BatchNormalization: _batch_normalization,
    keras.layers.Rescaling: _rescaling,
    keras.layers.Normalization: _normalization,
    keras.layers.ReLU: _relu,
    keras.layers.Activation: _activation,
    **dict.fromkeys((keras.layers.MaxPooling1D, keras.layers.MaxPooling2D), _pool(g.MaxPool)),
    layers.AveragePooling2D: _pool(g.AveragePool),
    **dict.fromkeys((keras.layers.AveragePooling1D, keras.layers.AveragePooling2D), _average_of_keras),
    **dict.fromkeys((keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D), _global_pool(g.GlobalMaxPool)),
    **dict.fromkeys(
        (keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D), _global_pool(g.GlobalAveragePool)
    ),
    **dict.fromkeys((keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D), _zero_padding),
    keras.layers.Add: _add,
    keras.layers.Concatenate: _concatenate,
    keras.layers.Flatten: _flatten,
    keras.layers.Reshape: _reshape,
    **{getattr(keras.layers, name): _nothing for name in _DO_NOTHING if hasattr(keras.layers, name)},
}

# What `x + y` of Keras 3 makes: operations, which are no layers, and whose classes are not public.
_OPERATIONS = {"Add": _add}


def register_from_keras(*classes: type) -> Callable[[Converter], Converter]:
    """A decorator: this function converts layers of these very classes, and not of their subclasses, to operations of a graph.

        @tfq.convert.register_from_keras(Swish)
        def swish(call):
            return [(SwishNode, {"beta": call.layer.beta})]

    It takes a `Call` and returns (class of `tfq.graph.Node`, its attributes but for name and inputs) of each operation: the
    first takes the inputs of the layer, each later one what the one before gives. Without operations the layer is left out.
    `call.refuse(reason)` is the error for what has no form; `call.product(operation)` makes the operations of a layer with a
    kernel, quantized or not. `tfq.testing.check_conversion` tells whether a layer and its operations compute the same.

    Args:
        *classes: of layers.

    Raises:
        TypeError: something else is given.
        ValueError: a class has another converter already.
    """
    for cls in classes:
        if not (isinstance(cls, type) and issubclass(cls, keras.layers.Layer)):
            raise TypeError(f"tfq.convert.register_from_keras takes classes of layers; got {cls!r}")

    def keep(function: Converter) -> Converter:
        for cls in classes:
            if cls in CONVERTERS and not is_again(function, CONVERTERS[cls]):
                raise ValueError(f"{cls.__name__} has a converter already")
        CONVERTERS.update(dict.fromkeys(classes, function))
        return function

    return keep


def is_again(function: Callable, other: Callable) -> bool:
    """Whether a function is a new version of another one, as when the cell of a notebook runs again."""
    return (function.__module__, function.__qualname__) == (other.__module__, other.__qualname__)


def converter_of(layer: keras.layers.Layer) -> Converter | None:
    """The function from a `Call` of this layer, or operation, to its operations in a graph; None where it has none."""
    if isinstance(layer, keras.layers.Layer):
        return CONVERTERS.get(type(layer))
    return _OPERATIONS.get(type(layer).__name__)


def does_nothing(layer: keras.layers.Layer) -> bool:
    """Whether a layer gives its inputs at inference, whatever its options."""
    return converter_of(layer) is _nothing
