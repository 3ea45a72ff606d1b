"""Which convolutions of a model larq-compute-engine makes binary, and why it would leave one in float."""

import numpy as np

from tfq.backend.keras import keras
from tfq.convert.kernels import array
from tfq.convert.layers import Unsupported
from tfq.export import low_bit
from tfq.keras_graph import calls, inputs_of, layer_of, nodes, outputs_of
from tfq.layers import QuantConv2D, QuantizedLayer
from tfq.quantizers import XnorInputs
from tfq.quantizers.base import FULL_PRECISION

# The converter's own: weights of a filter may differ by so much.
_TOLERANCE = 0.005


def check(model: keras.Model) -> int:
    """Number of binary convolutions of a model.

    The first convolution takes pixels: with inputs that are not quantized, as in BinaryNet, it is meant to be one in float.

    Raises:
        Unsupported: sizes are unknown, or quantized convolutions cannot be binary; the message names each and why.
    """
    _check_sizes(model)
    quantized = _quantized(model)
    named = {}
    for call in quantized:
        named.setdefault(_why_float(call.layer, call.input_bits), []).append(repr(call.name))
    named.pop(None, None)
    if named:
        raise Unsupported("; ".join(f"{_layers(names)} in larq-compute-engine: {reason}" for reason, names in named.items()))
    return len(quantized)


def in_float(model: keras.Model) -> tuple[str, ...]:
    """Names of the low-bit layers whose products are in float: a first convolution, of pixels, and all dense layers."""
    binary = {call.name for call in _quantized(model)}
    return tuple(name for name in low_bit.names(model) if name not in binary)


def _layers(names):
    if len(names) == 1:
        return f"layer {names[0]} would silently stay a float convolution"
    return f"layers {', '.join(names)} would silently stay float convolutions"


def _check_sizes(model):
    for node in nodes(model):
        for tensor in [*inputs_of(node), *outputs_of(node)]:
            if None in tuple(tensor.shape)[1:]:
                raise Unsupported(
                    f"larq-compute-engine takes models of known sizes; layer {layer_of(node).name!r} has a tensor of shape "
                    f"{tuple(tensor.shape)}: build the model with keras.Input of the size of its images"
                )


def _quantized(model):
    """The calls of convolutions that are to be binary."""
    convolutions = [call for call in calls(model) if _is_convolution(call.layer)]
    inner = convolutions[1:] if _takes_floats(convolutions) else convolutions
    return [call for call in inner if _is_quantized(call.layer)]


def _takes_floats(convolutions):
    if not convolutions:
        return False
    first = convolutions[0]
    return getattr(first.layer, "input_quantizer", None) is None and first.input_bits == FULL_PRECISION


def _is_convolution(layer):
    if isinstance(layer, keras.layers.Conv2D):
        return True
    is_dense = isinstance(layer, keras.layers.EinsumDense)
    return isinstance(layer, QuantizedLayer) and not is_dense and len(layer.kernels[0].latent.shape) > 2


def _is_quantized(layer):
    if not isinstance(layer, QuantizedLayer):
        return False
    return layer.input_quantizer is not None or any(kernel.quantizer is not None for kernel in layer.kernels)


def _why_float(layer, input_bits):
    """Why the converter would leave a convolution in float, or make one that cannot be run; None if neither."""
    if not isinstance(layer, QuantConv2D):
        return f"it has no binary {type(layer).__name__}"
    if layer.input_quantizer is None and input_bits < FULL_PRECISION:
        return "its inputs are quantized by a layer of their own; give it input_quantizer=XnorInputs() instead"
    if type(layer.input_quantizer) is not XnorInputs:
        name = "not quantized" if layer.input_quantizer is None else f"quantized by {type(layer.input_quantizer).__name__}"
        return f"its inputs are {name}, and only signs (XnorInputs) become bits"
    if layer.pad_values == -1:
        return "pad_values=-1, and it pads bits with 0 or 1 alone"
    if layer.groups > 1:  # the converter takes some of them, and its interpreter refuses these
        return f"groups={layer.groups}, and its interpreter has no binary convolutions in groups"
    kernel = np.abs(array(layer.quantized_kernel)).reshape(-1, layer.kernel.shape[-1])
    if not kernel.all():
        return f"its kernel has {int((kernel == 0).sum()):,} exact zeros (of {kernel.size:,} weights), and a bit is + or -"
    if (np.abs(kernel / kernel[0] - 1) > _TOLERANCE).any():
        return "the weights of a filter are not + and - one value"
    return None
