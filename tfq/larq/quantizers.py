"""larq's quantizers, over those of `tfq.quantizers`: each also takes `metrics`, which it asks its layer for."""

from collections.abc import Callable
from typing import Any

from tfq import quantizers
from tfq.backend.keras import Tensor, keras
from tfq.larq.base import NoOp, Quantizer
from tfq.larq.dorefa import DoReFa
from tfq.larq.signs import ApproxSign, MagnitudeAwareSign, SteHeaviside, SteSign, SwishSign
from tfq.larq.ternary import SteTern
from tfq.quantizers.base import QuantizerLike

__all__ = [
    "ApproxSign",
    "DoReFa",
    "DoReFaQuantizer",
    "MagnitudeAwareSign",
    "NoOp",
    "NoOpQuantizer",
    "Quantizer",
    "SteHeaviside",
    "SteSign",
    "SteTern",
    "SwishSign",
    "approx_sign",
    "deserialize",
    "get",
    "get_kernel_quantizer",
    "serialize",
    "ste_heaviside",
    "ste_sign",
    "ste_tern",
    "swish_sign",
]


# Names of earlier versions of larq.
DoReFaQuantizer = DoReFa
NoOpQuantizer = NoOp

_CLASSES = (SteSign, ApproxSign, SwishSign, MagnitudeAwareSign, SteHeaviside, SteTern, DoReFa, NoOp)
_BY_NAME: dict[str, Any] = {
    **{cls.__name__: cls for cls in _CLASSES},
    "ste_sign": SteSign,
    "approx_sign": ApproxSign,
    "swish_sign": SwishSign,
    "magnitude_aware_sign": MagnitudeAwareSign,
    "ste_heaviside": SteHeaviside,
    "ste_tern": SteTern,
    "dorefa_quantizer": DoReFa,
}


def get(identifier: QuantizerLike) -> Callable[..., Tensor] | None:
    """As `tfq.quantizers.get`; a name of larq gives the class of this module.

    Raises:
        ValueError: as there.
    """
    if isinstance(identifier, str) and identifier in _BY_NAME:
        if identifier == "NoOp":
            raise ValueError("quantizer 'NoOp' needs its precision: give an object such as NoOp(precision=1)")
        return _BY_NAME[identifier]()
    return quantizers.get(identifier)


def get_kernel_quantizer(identifier: QuantizerLike) -> Callable[..., Tensor] | None:
    """As `get`, of a kernel.

    Raises:
        ValueError: as `tfq.quantizers.get_for_kernel`.
    """
    return quantizers.get_for_kernel(get(identifier))


def serialize(quantizer: Callable[..., Tensor] | None) -> dict[str, Any] | None:
    """As `tfq.quantizers.serialize`."""
    return quantizers.serialize(quantizer)


def deserialize(name: QuantizerLike, custom_objects: dict[str, Any] | None = None) -> Callable[..., Tensor] | None:
    """The quantizer of a configuration that `serialize` gave, or of a name.

    Args:
        name: the configuration, or the name.
        custom_objects: classes and functions by their names, which are known for this call.

    Raises:
        ValueError: as `get`.
    """
    with keras.saving.custom_object_scope(custom_objects or {}):
        return get(name)


def ste_sign(x: Tensor, clip_value: float | None = 1.0) -> Tensor:
    """`SteSign(clip_value)` of `x`."""
    return SteSign(clip_value)(x)


def approx_sign(x: Tensor) -> Tensor:
    """`ApproxSign()` of `x`."""
    return ApproxSign()(x)


def swish_sign(x: Tensor, beta: float = 5.0) -> Tensor:
    """`SwishSign(beta)` of `x`."""
    return SwishSign(beta)(x)


def ste_heaviside(x: Tensor, clip_value: float | None = 1.0) -> Tensor:
    """`SteHeaviside(clip_value)` of `x`."""
    return SteHeaviside(clip_value)(x)


def ste_tern(
    x: Tensor, threshold_value: float = 0.05, ternary_weight_networks: bool = False, clip_value: float | None = 1.0
) -> Tensor:
    """`SteTern(threshold_value, ternary_weight_networks, clip_value)` of `x`."""
    return SteTern(threshold_value, ternary_weight_networks, clip_value)(x)
