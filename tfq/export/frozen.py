"""Kernels as the numbers that quantization gave them, and inputs on their grid, for converters that would do it again."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tfq import walk
from tfq.backend.keras import keras
from tfq.convert.kernels import array
from tfq.export import low_bit
from tfq.optional import require
from tfq.quantizers.base import Quantizer
from tfq.quantizers.grids import Levels

_BYTE = 8


@contextlib.contextmanager
def frozen_kernels(model: keras.Model) -> Iterator[list[Any]]:
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
    found = low_bit.quantized(model)
    kernels = [tf.Variable(array(each.quantized), trainable=False, name=f"{name}/kernel") for name, each in found.items()]
    changes = [
        (each.layer, each.place.quantizer, _giving(tf, kernel)) for each, kernel in zip(found.values(), kernels, strict=True)
    ]
    with walk.standing_in(changes):
        yield kernels


def _giving(tf, kernel):
    return lambda latent, **_: tf.convert_to_tensor(kernel)


@contextlib.contextmanager
def byte_inputs(model: keras.Model) -> Iterator[None]:
    """Likewise inputs of 8 bits (DoReFa, LSQ), a grid of 256 levels from 0 on, are TensorFlow's own notation of it.

    The converter to integers takes that grid over instead of measuring one.
    """
    places = [(layer, name) for _, layer in walk.layers(model) for name in ("input_quantizer", "activation")]
    grids = [(layer, name, _byte_grid(layer, name)) for layer, name in places]
    with walk.standing_in([(layer, name, _on(grid)) for layer, name, grid in grids if grid is not None]):
        yield


def _byte_grid(layer, name):
    """The 256 levels from 0 on that a quantizer gives; None where it is another."""
    quantizer = getattr(layer, name, None)
    state = getattr(layer, "input_arguments", {}) if name == "input_quantizer" else {}
    grid = quantizer.grid(**state) if isinstance(quantizer, Quantizer) else None
    return grid if isinstance(grid, Levels) and (grid.bits, grid.low) == (_BYTE, 0) and grid.high > 0 else None


def _on(grid):
    def quantize(x, **_):
        return require("tensorflow").quantization.fake_quant_with_min_max_args(x, min=0.0, max=grid.high, num_bits=_BYTE)

    return quantize
