"""A model whose kernels are the values that quantization gave them, for converters that would quantize them again."""

from tfq.compat import keras, require
from tfq.export.kernels import array
from tfq.layers import QuantActivation, QuantConv2D, QuantDense
from tfq.quantizers import DoReFaInputs

_BYTE = 8


def frozen(model):
    """A copy of `model` for a converter to 8-bit integers.

    Quantized kernels become plain numbers, of which the converter sees the range of each filter. 8-bit DoReFa inputs, a grid of
    256 steps over [0, 1], become TensorFlow's own notation of it, which the converter takes over instead of measuring one.

    Args:
        model: functional or Sequential model, on TensorFlow.

    Returns:
        A model that computes the same; `model` itself where nothing in it is quantized, or where models are nested in it.
    """
    quantized = any(isinstance(layer, QuantConv2D | QuantDense | QuantActivation) for layer in model.layers)
    if not quantized or any(isinstance(layer, keras.Model) for layer in model.layers):
        return model
    copy = keras.models.clone_model(model, clone_function=_without_kernel_quantizer)
    for source, target in zip(model.layers, copy.layers, strict=True):
        _take_over(source, target)
    return copy


def _without_kernel_quantizer(layer):
    config = layer.get_config()
    if isinstance(layer, QuantConv2D | QuantDense):
        config.update(kernel_quantizer=None, gradient_quantizer=None)
    copy = type(layer).from_config(config)
    quantizer = getattr(layer, "input_quantizer", None)
    if type(quantizer) is DoReFaInputs and quantizer.bits == _BYTE:
        copy.input_quantizer = _byte_levels
    return copy


def _byte_levels(x):
    return require("tensorflow").quantization.fake_quant_with_min_max_args(x, min=0.0, max=1.0, num_bits=_BYTE)


def _take_over(source, target):
    if not isinstance(source, QuantConv2D | QuantDense):
        target.set_weights(source.get_weights())
        return
    weights = [array(source.quantized_kernel)]
    target.set_weights([*weights, array(source.bias)] if source.use_bias else weights)
