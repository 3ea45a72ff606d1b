"""The kernels of any layer and model, Keras' own and larq's too."""

from typing import Any

from tfq import walk
from tfq.backend.keras import keras
from tfq.layers.base import QuantizedLayer
from tfq.layers.kernel import Kernel

# What kernels are called where a layer of Keras or larq has one, and their quantizers.
_PLACES = {"kernel": "kernel_quantizer", "depthwise_kernel": "depthwise_quantizer", "pointwise_kernel": "pointwise_quantizer"}


def latent_kernel(layer: keras.layers.Layer) -> Any:
    """The kernel of any layer as it is trained and saved, Keras' own and larq's too; None where it is not built, or has none."""
    for name in (getattr(layer, "kernel_name", "kernel"), "depthwise_kernel"):  # the latter of tf_keras and larq
        kernel = getattr(layer, name, None)
        if kernel is not None:
            return kernel
    return None


def kernels_of(layer: keras.layers.Layer) -> tuple[Kernel, ...]:
    """The kernels of any layer, Keras' own and larq's too, as they are trained, and as the forward pass uses them.

    A layer that is not built has those that it has a quantizer for.
    """
    if isinstance(layer, QuantizedLayer):
        return layer.kernels
    kernels = (Kernel(layer, weight, quantizer) for weight, quantizer in _PLACES.items())
    return tuple(kernel for kernel in kernels if kernel.is_built or kernel.quantizer is not None)


def kernels_in(model: keras.Model) -> dict[str, Kernel]:
    """The kernels of all layers in a model, by the path of the layer in `tfq.walk`; `path/weight` where it has several."""
    found = {}
    for path, layer in walk.layers(model):
        kernels = kernels_of(layer)
        found.update({path if len(kernels) == 1 else f"{path}/{kernel.name}": kernel for kernel in kernels})
    return found
