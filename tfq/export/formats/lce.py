"""larq-compute-engine: TensorFlow Lite with binary convolutions, each of which is seen to have become one."""

import tempfile
from pathlib import Path

import numpy as np

from tfq.backend.keras import keras
from tfq.convert.kernels import array
from tfq.convert.layers import Unsupported
from tfq.export import flatbuffer, low_bit
from tfq.export.formats import savedmodel
from tfq.keras_graph import calls, inputs_of, layer_of, nodes, outputs_of
from tfq.layers import QuantConv2D, QuantizedLayer
from tfq.optional import require
from tfq.quantizers import XnorInputs
from tfq.quantizers.base import FULL_PRECISION

FILENAME = "model_lce.tflite"
NEEDS = ("larq_compute_engine",)

_BINARY = "LceBconv2d"
# The converter's own: weights of a filter may differ by so much.
_TOLERANCE = 0.005


def write(model, path, sample=None):
    """Write `model` for larq-compute-engine.

    Args:
        model: functional or Sequential model of Keras 3 or tf_keras, on TensorFlow.
        path: file to write.
        sample: not used.

    Raises:
        Unsupported: a quantized convolution would stay in float, without a word from the converter; the message names it and why.
        ImportError: larq-compute-engine is not installed.
    """
    expected = check(model)
    convert = require("larq_compute_engine").convert_saved_model
    with tempfile.TemporaryDirectory() as directory:
        # Signs of a kernel of more than 2^18 weights it would not compute beforehand: the convolution would stay in float.
        savedmodel.write(model, directory)
        content = _converted(convert, directory)
    found = _count(content)
    if found != expected:
        raise Unsupported(f"larq-compute-engine made {found} of {expected} quantized convolutions binary")
    Path(path).write_bytes(_without_names(content))


def _converted(convert, directory):
    try:
        return convert(directory)
    except (ValueError, RuntimeError) as error:  # what its C++ code throws
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unsupported(f"the converter of larq-compute-engine fails on this model: {reason}") from error


def load(path, threads=1):
    """The function from a batch of images (float32 array) to logits that the file at `path` computes on so many threads."""
    module = require("larq_compute_engine.tflite.python.interpreter")
    try:
        interpreter = module.Interpreter(Path(path).read_bytes(), num_threads=threads)
    except RuntimeError as error:  # such as of a binary convolution of one filter
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unsupported(f"larq-compute-engine made a file that it cannot run itself: {reason}") from error
    return lambda images: np.asarray(interpreter.predict(images))


sizes = flatbuffer.sizes


def in_float(model):
    """Names of the low-bit layers whose products are in float: a first convolution, of pixels, and all dense layers."""
    binary = {call.name for call in _quantized(model)}
    return tuple(name for name in low_bit.names(model) if name not in binary)


def check(model):
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


def _layers(names):
    if len(names) == 1:
        return f"layer {names[0]} would silently stay a float convolution"
    return f"layers {', '.join(names)} would silently stay float convolutions"


def _check_sizes(model):
    for node in nodes(model):
        for tensor in inputs_of(node) + outputs_of(node):
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
    return isinstance(layer, keras.layers.Conv2D) or (isinstance(layer, QuantizedLayer) and len(layer.latent_kernel.shape) > 2)


def _is_quantized(layer):
    return isinstance(layer, QuantizedLayer) and (layer.input_quantizer is not None or layer.kernel_quantizer is not None)


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


def _without_names(flatbuffer):
    """The file without the names of tensors and signatures, which its interpreter does not use: 3 % of a binary resnet20."""
    tools = require("tensorflow.lite.tools.flatbuffer_utils")
    model = tools.convert_bytearray_to_object(bytearray(flatbuffer))
    tools.strip_strings(model)
    return bytes(tools.convert_object_to_bytearray(model))


def _count(flatbuffer):
    """Binary convolutions in a file, whose operations TensorFlow Lite can list, though not run."""
    interpreter = require("tensorflow").lite.Interpreter(model_content=flatbuffer)
    return sum(details["op_name"] == _BINARY for details in interpreter._get_ops_details())
