"""Kernels as the numbers that quantization gave them, and inputs on their grid, for converters that would do it again."""

import contextlib

from tfq import walk
from tfq.convert.kernels import array
from tfq.export import low_bit
from tfq.optional import require
from tfq.quantizers import DoReFaInputs

_BYTE = 8


@contextlib.contextmanager
def frozen_kernels(model):
    """As long as the context lasts, the quantized kernels of a model are plain numbers in whatever is traced of it.

    Else the trace holds the latent kernels and what quantizes them. TensorFlow's converter folds that where a kernel is small,
    and leaves it to each inference where it is not; larq-compute-engine does not see signs in it. The model itself, its latent
    kernels too, stays as it is.

    Args:
        model: built Keras model, on TensorFlow; models may be nested in it.

    Yields:
        The kernels, `tf.Variable`: constants would stand in the graph of each signature.
    """
    tf = require("tensorflow")
    layers = low_bit.quantized(model)
    kernels = [tf.Variable(array(layer.quantized_kernel), trainable=False, name=f"{name}/kernel") for name, layer in layers]
    changes = [(layer, "kernel_quantizer", _giving(tf, kernel)) for (_, layer), kernel in zip(layers, kernels, strict=True)]
    with walk.standing_in(changes):
        yield kernels


def _giving(tf, kernel):
    return lambda latent: tf.convert_to_tensor(kernel)


@contextlib.contextmanager
def byte_inputs(model):
    """Likewise 8-bit DoReFa inputs, a grid of 256 steps over [0, 1], are TensorFlow's own notation of it.

    The converter to integers takes that grid over instead of measuring one.
    """
    places = [(layer, name) for _, layer in walk.layers(model) for name in ("input_quantizer", "activation")]
    with walk.standing_in([(layer, name, _byte_levels) for layer, name in places if _is_byte(getattr(layer, name, None))]):
        yield


def _is_byte(quantizer):
    return type(quantizer) is DoReFaInputs and quantizer.bits == _BYTE


def _byte_levels(x):
    return require("tensorflow").quantization.fake_quant_with_min_max_args(x, min=0.0, max=1.0, num_bits=_BYTE)
