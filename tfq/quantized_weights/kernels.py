"""The quantized kernels of a layer or model by name, and their values on the grids of their quantizers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfq import walk
from tfq.backend.compiled import compiled
from tfq.backend.keras import keras, ops
from tfq.layers.base import QuantizedLayer
from tfq.layers.kernel import QuantizedKernel
from tfq.quantizers import grids
from tfq.quantizers.grids import Codes, Integers, Levels

# Over the largest value. Levels are computed in float32 by the quantizer, and in float64 of codes; the step of LSQ, before a
# training has set it, as each compiler rounds.
_ROUNDING = 1e-6


def named(source: keras.layers.Layer) -> dict[str, QuantizedKernel]:
    """The kernels of a layer or model that take few bits, by path and name.

    Raises:
        ValueError: there is none, or a layer is not built.
    """
    found = {}
    for path, layer in [("", source), *walk.layers(source)]:
        for kernel in layer.kernels if isinstance(layer, QuantizedLayer) else ():
            if kernel.quantizer is None or getattr(kernel.quantizer, "is_off", False):
                continue
            if not layer.built:
                raise ValueError(f"layer {path or layer.name!r} is not built: its kernel comes with the first call")
            found[f"{path}/{kernel.name}".lstrip("/")] = kernel
    if not found:
        raise ValueError(f"{type(source).__name__} {source.name!r} has no layer of tfq with a quantized kernel")
    return found


def values(source: keras.layers.Layer, kernels: Mapping[str, QuantizedKernel]) -> dict[str, np.ndarray]:
    """What the forward pass makes of kernels of `source`."""
    read = [variable for kernel in kernels.values() for variable in variables(kernel)]
    found = compiled(lambda: {name: kernel.quantized for name, kernel in kernels.items()}, read, source)
    return {name: array(found[name]) for name in kernels}


def variables(kernel: QuantizedKernel) -> list:
    """The latent kernel, and what its quantizer keeps."""
    return [kernel.latent, *([] if kernel.state is None else kernel.state.variables_by_name.values())]


def array(x: Any) -> np.ndarray:
    """A variable or tensor as float32 in NumPy."""
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")))


def encoded(name: str, kernel: QuantizedKernel, found: np.ndarray) -> Codes:
    """Values of a kernel as integers and their scale, on the grid of its quantizer.

    A function of which nothing else is known has signs or ternary values.

    Args:
        name: of the kernel, for errors.
        kernel: the kernel.
        found: its quantized values.

    Raises:
        ValueError: they are not on the grid.
    """
    grid = kernel.grid or grids.Ternary()
    if isinstance(grid, Integers):  # the quantizer alone knows their step
        codes = kernel.quantizer.encode(kernel.latent, **kernel.arguments)
    else:
        codes = grids.encode(ops.convert_to_tensor(found), grid, kernel.channel_axis)
    deviation = np.abs(codes.values() - found).max(initial=0)
    if not deviation <= (_ROUNDING * np.abs(found).max(initial=0) if isinstance(grid, Levels | Integers) else 0):
        raise ValueError(f"kernel {name!r}: its values are off {grid} of {kernel.quantizer!r} by up to {deviation:.1e}")
    return codes
