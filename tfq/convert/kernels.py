"""The kernel of a layer as the codes and scales it is made of, which are checked to give the quantized kernel again."""

import dataclasses

import numpy as np

from tfq.backend.keras import Tensor, keras, ops
from tfq.graph.kernels import FloatKernel, PackedKernel, pack
from tfq.layers.base import kernels_of, latent_kernel
from tfq.quantizers.base import FULL_PRECISION
from tfq.quantizers.grids import Codes, Integers, Levels, Sign, Ternary, encode

# Of the largest value. Levels are computed as 2 round(...) / n - 1 in float32, by backends that round differently; the closest
# ones are 3e-5 apart.
_LEVEL_ROUNDING = 1e-6


class KernelError(ValueError):
    """A quantized kernel that has no packed form; the message says why."""


def array(x: Tensor) -> np.ndarray:
    """A variable or tensor of Keras as float32 in NumPy."""
    return np.asarray(ops.convert_to_numpy(x), dtype=np.float32)


def of_layer(layer: keras.layers.Layer, shape: tuple[int, ...] | None = None) -> FloatKernel | PackedKernel:
    """The kernel of a layer in packed form; in float32 where it is not quantized.

    Args:
        layer: built layer.
        shape: of the kernel with its filters in the last axis, where they are counted by several.

    Returns:
        `FloatKernel` or `PackedKernel` of `tfq.graph.kernels`.

    Raises:
        KernelError: it has values that are not finite, or that no coding stands for; or its quantizer tells other codes.
    """
    quantizer = getattr(layer, "kernel_quantizer", None)
    values = array(latent_kernel(layer) if quantizer is None else layer.quantized_kernel)
    if not np.isfinite(values).all():
        raise KernelError("its kernel has values that are not finite")
    shape = values.shape if shape is None else shape
    if quantizer is None or getattr(quantizer, "bits", None) == FULL_PRECISION:
        return FloatKernel(values.reshape(shape))
    found = _codes(layer, quantizer, values)
    deviation = np.abs(found.values() - values).max()
    if deviation > (_LEVEL_ROUNDING * np.abs(values).max() if isinstance(found.grid, Levels) else 0):
        raise KernelError(f"its kernel_quantizer {quantizer!r} gives values that are off {found.grid} by {deviation:.1e}")
    return _packed(found, shape)


def scaled(kernel: FloatKernel | PackedKernel, factor: float) -> FloatKernel | PackedKernel:
    """A kernel times a number."""
    if isinstance(kernel, PackedKernel):
        return dataclasses.replace(kernel, scale=(kernel.scale * factor).astype(np.float32))
    return FloatKernel((kernel.values * factor).astype(np.float32))


def _codes(layer, quantizer, values):
    found = kernels_of(layer)[0].codes
    if found is not None:
        return found
    # Of what tells no grid nothing is known but what it gives.
    found = encode(values, Ternary(), layer.channel_axis)
    if not np.array_equal(found.values(), values):
        name = type(quantizer).__name__
        raise KernelError(f"its kernel_quantizer {name} gives neither one magnitude a filter (binary), nor that and 0 (ternary)")
    return found


def _packed(found: Codes, shape):
    whole, scale = found.codes.reshape(shape), found.scale.ravel()
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
