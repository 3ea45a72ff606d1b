"""The kernel of a layer as the codes and scales it is made of, which are checked to give the quantized kernel again."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tfq.backend.keras import Tensor, keras, ops
from tfq.graph.kernels import FloatKernel, PackedKernel, pack
from tfq.layers.kernel import Kernel, QuantizedKernel
from tfq.layers.kernels import kernels_of
from tfq.quantizers.base import FULL_PRECISION
from tfq.quantizers.grids import Codes, Integers, Levels, Sign, Ternary, encode

# Gives the values of a kernel in another order.
Arrange: TypeAlias = Callable[[np.ndarray], np.ndarray]

# Of the largest value. Levels are computed as 2 round(...) / n - 1 in float32, by backends that round differently; the closest
# ones are 3e-5 apart.
_LEVEL_ROUNDING = 1e-6


class KernelError(ValueError):
    """A quantized kernel that has no packed form; the message says why."""


def array(x: Tensor) -> np.ndarray:
    """A variable or tensor of Keras as float32 in NumPy."""
    return np.asarray(ops.convert_to_numpy(x), dtype=np.float32)


def of_layer(layer: keras.layers.Layer) -> FloatKernel | PackedKernel:
    """The kernel of a built layer of one, as `of_kernel` gives it."""
    (kernel,) = kernels_of(layer)
    return of_kernel(kernel)


def of_kernel(kernel: Kernel, arrange: Arrange | None = None) -> FloatKernel | PackedKernel:
    """A kernel of a layer in packed form; in float32 where it is not quantized.

    Args:
        kernel: of a built layer; see `tfq.layers.kernels.kernels_of`.
        arrange: of its values, gives them with the filters in the last axis; where they are not there already.

    Returns:
        `FloatKernel` or `PackedKernel` of `tfq.graph.kernels`.

    Raises:
        KernelError: it has values that are not finite, or that no coding stands for; or its quantizer tells other codes.
    """
    quantizer, values = kernel.quantizer, array(kernel.quantized)
    if not np.isfinite(values).all():
        raise KernelError(f"its {kernel.name} has values that are not finite")
    if quantizer is None or getattr(quantizer, "bits", None) == FULL_PRECISION:
        return FloatKernel(values if arrange is None else np.ascontiguousarray(arrange(values)))
    found = _codes(kernel, values)
    deviation = np.abs(found.values() - values).max()
    if deviation > (_LEVEL_ROUNDING * np.abs(values).max() if isinstance(found.grid, Levels) else 0):
        raise KernelError(f"its {_argument(kernel)} {quantizer!r} gives values that are off {found.grid} by {deviation:.1e}")
    return _packed(found, found.codes if arrange is None else arrange(found.codes))


def scaled(kernel: FloatKernel | PackedKernel, factor: float) -> FloatKernel | PackedKernel:
    """A kernel times a number."""
    if isinstance(kernel, PackedKernel):
        return dataclasses.replace(kernel, scale=(kernel.scale * factor).astype(np.float32))
    return FloatKernel((kernel.values * factor).astype(np.float32))


def _codes(kernel, values):
    found = kernel.codes
    if found is not None:
        return found
    # Of what tells no grid nothing is known but what it gives.
    found = encode(values, Ternary(), kernel.channel_axis)
    if not np.array_equal(found.values(), values):
        name = type(kernel.quantizer).__name__
        raise KernelError(
            f"its {_argument(kernel)} {name} gives neither one magnitude a filter (binary), nor that and 0 (ternary)"
        )
    return found


def _argument(kernel):
    """What the quantizer is called among the arguments of the layer."""
    return kernel.place.quantizer if isinstance(kernel, QuantizedKernel) else "kernel_quantizer"


def _packed(found: Codes, whole):
    scale = found.scale.ravel()
    match found.grid:
        case Sign() | Ternary() if ((whole == 0) & (scale > 0)).any():
            # A filter of zeros fits any scale.
            return pack(whole, "ternary", scale=_few(scale, scale[scale > 0]))
        case Sign() | Ternary():
            return pack(np.where(whole > 0, 1, -1), "binary", scale=_few(scale, scale))
        case Levels(bits, low, high) if low == -high and bits > 1:
            return pack(2 * whole - (2**bits - 1), "levels", bits, scale * high)
        case Integers(low, high):
            return pack(whole, "integer", max(int(-low - 1).bit_length(), int(high).bit_length()) + 1, scale)
        case other:
            raise KernelError(f"its kernel lies on {other}, of which a graph has no kernels")


def _few(scale, used):
    """One scale instead of one a filter where those that matter are the same."""
    return used[:1] if (used == used[0]).all() else scale
