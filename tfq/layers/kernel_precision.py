"""What a layer says of the precision of its kernel: a mark on the weight, and a warning of weights that will starve."""

import warnings
from typing import Any

from tfq.quantizers.base import KernelQuantizer, Quantizer


def mark(variable: Any, quantizer: Any) -> None:
    """Write on a latent kernel the bits of its quantizer, as `variable.precision`; optimizers of binary weights look for it."""
    precision = getattr(quantizer, "precision", None)
    if precision is not None:
        variable.precision = precision


def warn_of_starved_weights(layer: Any, quantizer: Any, argument: str) -> None:
    """Warn where binary latent weights may leave the window of their quantizer, beyond which they get no gradient.

    Args:
        layer: with a constraint, or None, as its attribute `argument`.
        quantizer: of the kernel; None, a function and those without a window are not warned of.
        argument: name of the constraint of this kernel.
    """
    if getattr(layer, argument, None) is None and _has_binary_window(quantizer):
        warnings.warn(
            f"layer {layer.name!r}: {quantizer!r} without {argument} may starve weights: beyond the window {quantizer.window()} "
            f'they get no gradient; {argument}="weight_clip" keeps them in [-1, 1]',
            stacklevel=3,
        )


def _has_binary_window(quantizer):
    keeps_nothing = getattr(type(quantizer), "build", None) in (Quantizer.build, KernelQuantizer.build)
    return isinstance(quantizer, Quantizer) and quantizer.bits == 1 and keeps_nothing and quantizer.window() is not None
