"""Calls of quantizers with a tensor of a functional model, which add a layer to that model."""

from typing import Any

from tfq.backend.keras import Tensor
from tfq.layers.activation import QuantActivation
from tfq.layers.gradient import QuantGradient
from tfq.layers.quant_kernel import QuantKernel
from tfq.quantizers.base import Quantizer


def as_layer(quantizer: Quantizer, x: Tensor, **options: Any) -> Tensor:
    """`x` through a new layer with this quantizer.

    Args:
        quantizer: of inputs, kernels or gradients.
        x: symbolic tensor.
        **options: the `channel_axis` of a kernel; what a quantizer keeps, or a key, is made by the layer.
    """
    cls: Any = {"kernel": QuantKernel, "gradient": QuantGradient}.get(quantizer.operand or "inputs", QuantActivation)
    return cls(quantizer, **options)(x)
