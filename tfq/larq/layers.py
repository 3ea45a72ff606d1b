"""larq's layers: those of `tfq.layers`, which take larq's arguments but for the name of the depthwise quantizer."""

from typing import Any

from tfq import layers
from tfq.larq.base import register_larq
from tfq.layers import (
    QuantConv1D,
    QuantConv2D,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantConv3DTranspose,
    QuantDense,
    QuantSeparableConv1D,
    QuantSeparableConv2D,
)
from tfq.quantizers.base import QuantizerLike

__all__ = [
    "QuantConv1D",
    "QuantConv2D",
    "QuantConv2DTranspose",
    "QuantConv3D",
    "QuantConv3DTranspose",
    "QuantDense",
    "QuantDepthwiseConv2D",
    "QuantSeparableConv1D",
    "QuantSeparableConv2D",
]


@register_larq
class QuantDepthwiseConv2D(layers.QuantDepthwiseConv2D):
    """`tfq.layers.QuantDepthwiseConv2D`, whose kernel quantizer has larq's name.

    Args:
        *args: as there.
        depthwise_quantizer: its `kernel_quantizer`.
        **kwargs: as there.
    """

    def __init__(self, *args: Any, depthwise_quantizer: QuantizerLike = None, **kwargs: Any) -> None:
        super().__init__(*args, kernel_quantizer=depthwise_quantizer, **kwargs)

    @property
    def depthwise_quantizer(self) -> Any:
        """The quantizer of the kernel."""
        return self.kernel_quantizer

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        config = super().get_config()
        return {"depthwise_quantizer": config.pop("kernel_quantizer"), **config}


def __getattr__(name: str) -> Any:
    if name in ("QuantLocallyConnected1D", "QuantLocallyConnected2D"):
        raise AttributeError(
            f"tfq.larq.layers has no {name}: Keras 3 has no locally connected layers that it could quantize; "
            "see docs/from-larq.md"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
