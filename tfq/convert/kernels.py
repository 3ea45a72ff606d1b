"""The kernel of a layer as the codes and scales it is made of, which are checked to give the quantized kernel again."""

import numpy as np

from tfq.backend.keras import ops
from tfq.graph.kernels import FloatKernel, pack
from tfq.quantizers import DoReFaWeights
from tfq.quantizers.base import FULL_PRECISION

# Levels are computed as 2 round(...) / n - 1 in float32, by backends that round differently; the closest ones are 3e-5 apart.
_LEVEL_ROUNDING = 1e-6


class KernelError(ValueError):
    """A quantized kernel that has no packed form; the message says why."""


def array(x):
    """A variable or tensor of Keras as float32 in NumPy."""
    return np.asarray(ops.convert_to_numpy(x), dtype=np.float32)


def of_layer(layer):
    """The kernel of a layer in packed form; in float32 where it is not quantized.

    Args:
        layer: built layer with a `kernel`, whose last axis is the output channel.

    Returns:
        `FloatKernel` or `PackedKernel` of `tfq.graph.kernels`.

    Raises:
        KernelError: it has values that are not finite, or that no coding stands for.
    """
    quantizer = getattr(layer, "kernel_quantizer", None)
    values = array(layer.kernel if quantizer is None else layer.quantized_kernel)
    if not np.isfinite(values).all():
        raise KernelError("its kernel has values that are not finite")
    if quantizer is None or getattr(quantizer, "bits", None) == FULL_PRECISION:
        return FloatKernel(values)
    if isinstance(quantizer, DoReFaWeights) and quantizer.bits > 1:
        return _levels(values, quantizer.bits)
    return _signs(values, quantizer)


def _levels(values, bits):
    n = 2**bits - 1
    codes = np.rint((values.astype(np.float64) + 1) / 2 * n).astype(np.int64)
    deviation = np.abs((2 * codes - n) / n - values).max()
    if codes.min() < 0 or codes.max() > n or deviation > _LEVEL_ROUNDING:
        raise KernelError(f"its kernel is off the {n + 1} levels of [-1, 1] by {deviation:.1e}")
    return pack(2 * codes - n, "levels", bits)


def _signs(values, quantizer):
    """Binary or ternary, seen by the values: those of a filter are +- its scale, or 0."""
    size = np.abs(values)
    scale = size.max(axis=tuple(range(values.ndim - 1)))
    zero = values == 0
    if not np.array_equal(size, np.where(zero, 0, scale)):
        name = type(quantizer).__name__
        raise KernelError(f"its kernel_quantizer {name} gives neither one magnitude a filter (binary), nor that and 0 (ternary)")
    if (zero & (scale > 0)).any():
        # A filter of zeros fits any scale.
        return pack(np.sign(values), "ternary", scale=_few(scale, scale[scale > 0]))
    return pack(np.where(values > 0, 1, -1), "binary", scale=_few(scale, scale))


def _few(scale, used):
    """One scale instead of one a filter where those that matter are the same."""
    return used[:1] if (used == used[0]).all() else scale
