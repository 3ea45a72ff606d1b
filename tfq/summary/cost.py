"""Cost of one call of a layer."""

import math
from dataclasses import dataclass

from tfq.backend.keras import keras
from tfq.keras_graph import Call, bits_behind, bits_of, unwrapped
from tfq.layers.base import QuantizedLayer, latent_kernel
from tfq.quantizers.base import FULL_PRECISION


def _layers(*names):
    return tuple(getattr(keras.layers, name) for name in names)


_TRANSPOSED = _layers("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_KINDS = {
    "convolution": (*_layers("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D"), *_TRANSPOSED),
    "dense": _layers("Dense"),
    "normalization": _layers("BatchNormalization"),
    "pooling": tuple(
        getattr(keras.layers, f"{name}Pooling{n}D")
        for name in ("Max", "Average", "GlobalMax", "GlobalAverage")
        for n in (1, 2, 3)
    ),
    "activation": _layers("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
}
# Known by name: in Keras 3 `x + y` makes an operation `Add` that is no layer.
_ELEMENTWISE = {"Add", "Subtract", "Multiply"}
# They multiply matrices that are no weights.
_PRODUCTS = {"Dot", "Attention", "AdditiveAttention", "Matmul", "Einsum", "Tensordot"}


@dataclass(frozen=True)
class LayerCost:
    """Cost of one call of one layer, for one sample.

    `kind` is convolution, dense, normalization, pooling, activation, elementwise or other; `layer_type` the name of the class.
    Shapes are without the batch axis. `bias_ops` counts 1 per output of a layer with a bias; `activation_ops` 1 per element of
    an activation, be it a layer or the `activation` of one; `other_ops` 2 per element for batch normalization, 1 per input
    element for pooling, 1 per element and operand after the first for sums and products, and what the K-map of XNOR-Net adds.
    `weight_memory_bits` maps a bit width to the bits of the weights that have it. The first row of a layer that is called
    again holds its parameters and memory. `counted` is False where matrices take part in a way that is not known here.
    """

    name: str
    kind: str
    layer_type: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    macs: int
    bias_ops: int
    activation_ops: int
    other_ops: int
    params: int
    trainable_params: int
    input_bits: int
    weight_bits: int
    weight_memory_bits: dict[int, int]
    counted: bool

    @property
    def has_macs(self) -> bool:
        """Whether it multiplies and accumulates."""
        return self.kind in ("convolution", "dense")

    @property
    def is_quantized(self) -> bool:
        """Whether its kernel takes fewer than 32 bits."""
        return self.weight_bits < FULL_PRECISION


def cost_of(call: Call, first: bool) -> LayerCost:
    """Cost of a `Call`.

    Args:
        call: the call.
        first: whether it is the first one of its layer, which stands for the parameters.
    """
    layer = unwrapped(call.layer)
    kind = _kind(layer)
    outputs = math.prod(call.output_shape)
    if kind not in ("convolution", "dense"):
        kernel_size, weight_bits, input_bits = 0, FULL_PRECISION, FULL_PRECISION
    else:
        kernel_size, weight_bits = math.prod(_kernel_shape(layer)), _weight_bits(call.layer, layer)
        input_bits = _input_bits(call, layer)
    params = _count(call.layer, "weights") if first else 0
    return LayerCost(
        name=call.name,
        kind=kind,
        layer_type=type(layer).__name__,
        input_shape=call.input_shapes[0],
        output_shape=call.output_shape,
        macs=_positions(layer, call) * kernel_size if kernel_size else 0,
        bias_ops=outputs if kernel_size and getattr(layer, "bias", None) is not None else 0,
        activation_ops=outputs if kind == "activation" or (kernel_size and _has_activation(layer)) else 0,
        other_ops=_other_ops(layer, kind, call),
        params=params,
        trainable_params=_count(call.layer, "trainable_weights") if first else 0,
        input_bits=input_bits,
        weight_bits=weight_bits,
        weight_memory_bits=_memory(params, kernel_size, weight_bits),
        counted=kind != "other" or not (_has_matrix(call.layer) or type(layer).__name__ in _PRODUCTS),
    )


def _kind(layer):
    if type(layer).__name__ in _ELEMENTWISE:
        return "elementwise"
    kind = next((kind for kind, classes in _KINDS.items() if isinstance(layer, classes)), "other")
    if kind == "other" and isinstance(layer, QuantizedLayer):
        return "dense" if len(_kernel_shape(layer)) == 2 else "convolution"
    return kind


def _kernel_shape(layer):
    return tuple(latent_kernel(layer).shape)


def _positions(layer, call):
    """How often the whole kernel is applied: at each output pixel; in a transposed convolution, at each input pixel."""
    shape = call.input_shapes[0] if isinstance(layer, _TRANSPOSED) else call.output_shape
    channel_axis = 0 if getattr(layer, "data_format", None) == "channels_first" else -1
    return math.prod(shape) // shape[channel_axis]


def _has_activation(layer):
    function = getattr(layer, "activation", None)
    return function not in (None, keras.activations.linear) and hasattr(function, "__name__")  # tfmot's objects have none


def _other_ops(layer, kind, call):
    inputs, outputs = math.prod(call.input_shapes[0]), math.prod(call.output_shape)
    if kind == "normalization":
        return 2 * outputs
    if kind == "pooling":
        return inputs
    if kind == "elementwise":
        return (len(call.input_shapes) - 1) * outputs
    if getattr(layer, "kmap", False):
        # |x| summed over the channels, the box filter at each position, and the product with the outputs.
        return inputs + _positions(layer, call) * math.prod(layer.kernel_size) + outputs
    return 0


def _weight_bits(wrapper, layer):
    config = getattr(wrapper, "quantize_config", None)
    if config is None:
        return bits_of(
            getattr(layer, "kernel_quantizer", None) or getattr(layer, "depthwise_quantizer", None)
        )  # the latter of larq
    return min((quantizer.num_bits for _, quantizer in config.get_weights_and_quantizers(layer)), default=FULL_PRECISION)


def _input_bits(call, layer):
    # tfmot quantizes the outputs in front of a layer to as many bits as its weights.
    if hasattr(call.layer, "quantize_config"):
        return min(call.input_bits, _weight_bits(call.layer, layer))
    return bits_behind(getattr(layer, "input_quantizer", None), call.input_bits)


def _count(layer, attribute):
    """Number of float weights; the integers that some layers keep are state of the training."""
    weights = getattr(layer, attribute, [])
    return sum(math.prod(weight.shape) for weight in weights if "float" in str(getattr(weight.dtype, "name", weight.dtype)))


def _has_matrix(layer):
    return any(len(weight.shape) >= 2 for weight in getattr(layer, "weights", []))


def _memory(params, kernel_size, weight_bits):
    if not params:
        return {}
    rest = FULL_PRECISION * (params - kernel_size)
    if weight_bits == FULL_PRECISION:
        return {FULL_PRECISION: rest + FULL_PRECISION * kernel_size}
    return {weight_bits: weight_bits * kernel_size} | ({FULL_PRECISION: rest} if rest else {})
