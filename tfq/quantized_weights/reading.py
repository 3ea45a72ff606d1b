"""Quantized kernels as arrays and as codes."""

import numpy as np

from tfq.backend.keras import keras
from tfq.quantized_weights import kernels
from tfq.quantizers.grids import Codes


def arrays(source: keras.layers.Layer) -> dict[str, np.ndarray]:
    """The quantized kernels as `predict` and `evaluate` use them, float32, by name.

    `layer.quantized_kernel`, which is not compiled, may round levels of DoReFa another way, in the last bit.

    Args:
        source: built layer or model; models and layers in it are entered.

    Raises:
        ValueError: it has no quantized kernel, or is not built.
    """
    return kernels.values(source, kernels.named(source))


def codes(source: keras.layers.Layer) -> dict[str, Codes]:
    """The quantized kernels as integers and their scales, by name.

    `codes(model)[name].values()` are those of `arrays`: signs and ternary values exactly, others to 1e-6 of the largest.

    Args:
        source: as in `arrays`.

    Raises:
        ValueError: as in `arrays`; or the values of a kernel are on no grid.
    """
    named = kernels.named(source)
    return {name: kernels.encoded(name, named[name], values) for name, values in kernels.values(source, named).items()}
