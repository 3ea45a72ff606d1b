"""The kernels of a model that take few bits, those of nested models too."""

from tfq.backend.keras import keras
from tfq.layers.kernel import QuantizedKernel
from tfq.layers.kernels import kernels_in
from tfq.quantizers.base import FULL_PRECISION


def quantized(model: keras.Model) -> dict[str, QuantizedKernel]:
    """The quantized kernels of the layers of tfq, by names of the layers; `name/weight` where a layer has several kernels."""
    kernels = kernels_in(model).items()
    return {name: kernel for name, kernel in kernels if isinstance(kernel, QuantizedKernel) and kernel.quantizer is not None}


def names(model: keras.Model) -> tuple[str, ...]:
    """Names of those that take fewer bits than float32."""
    return tuple(name for name, kernel in quantized(model).items() if getattr(kernel.quantizer, "bits", 0) < FULL_PRECISION)
