"""larq's scopes: which metrics kernels have, and whether weights are read quantized."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tfq import metrics as of_kernels
from tfq.backend.keras import ops
from tfq.layers.built_layers import built_layers

__all__ = ["get_training_metrics", "metrics_scope", "quantized_scope", "should_quantize"]

# (kernel, its latent values, its quantized values) while the scope lasts; None outside of it.
_latent: list[tuple[Any, np.ndarray, np.ndarray]] | None = None


@contextlib.contextmanager
def quantized_scope(quantize: bool) -> Iterator[bool]:
    """While it is on, quantized layers hold their quantized weights: `get_weights`, `kernel` and `save` give these.

        with quantized_scope(True):
            model.save("quantized.keras")

    Every quantized layer that has its weights takes part. Latent weights come back at the end; a kernel that was assigned to in
    between keeps what it was given. Train, and build layers, outside of it. A quantizer that would move its own values (DoReFa's
    of weights, above two bits) must not run within it, of which a warning tells.

    Args:
        quantize: whether it is on; False switches it off within one that is on.
    """
    before = should_quantize()
    _switch(quantize)
    try:
        yield quantize
    finally:
        _switch(before)


def should_quantize() -> bool:
    """Whether `quantized_scope` is on."""
    return _latent is not None


@contextlib.contextmanager
def metrics_scope(metrics: Iterable[str] = ()) -> Iterator[set[str]]:
    """Quantized layers that are made within it have these metrics, those with a metric of their own excepted.

    Args:
        metrics: names; `"flip_ratio"` is the only one.

    Raises:
        ValueError: there is no metric of this name.
    """
    names = {of_kernels.check_name(name) for name in metrics}
    before = set(of_kernels.in_scope)
    of_kernels.in_scope |= names
    try:
        yield of_kernels.in_scope
    finally:
        of_kernels.in_scope.clear()
        of_kernels.in_scope.update(before)


def get_training_metrics() -> set[str]:
    """The names of the scope, themselves: what is added to the set is in the scope."""
    return of_kernels.in_scope


def _switch(on):
    global _latent
    if on and _latent is None:
        kernels = [(layer, kernel) for layer in built_layers for kernel in layer.kernels if kernel.quantizer is not None]
        _latent = [_quantized(layer, kernel) for layer, kernel in kernels if _is_one_variable(layer, kernel)]
        for variable, _, quantized in _latent:
            variable.assign(quantized)
    elif not on and _latent is not None:
        for variable, latent, quantized in _latent:
            if np.array_equal(ops.convert_to_numpy(variable), quantized):
                variable.assign(latent)
        _latent = None


def _is_one_variable(layer, kernel):
    if hasattr(kernel.latent, "assign"):
        return True
    warnings.warn(f"quantized_scope: {layer.name!r} has LoRA, whose sum is no weight; its weights stay as they are", stacklevel=4)
    return False


def _quantized(layer, kernel):
    quantized = ops.convert_to_numpy(kernel.quantized)
    again = ops.convert_to_numpy(kernel.quantizer(ops.convert_to_tensor(quantized), **kernel.arguments))
    if not np.allclose(again, quantized, rtol=1e-6, atol=0):
        warnings.warn(f"quantized_scope: {kernel.quantizer!r} would quantize {layer.name!r} anew if it ran here", stacklevel=4)
    return kernel.latent, ops.convert_to_numpy(kernel.latent), quantized
