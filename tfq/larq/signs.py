"""larq's binary quantizers."""

from tfq.larq.base import WithMetrics, register_larq
from tfq.quantizers import bi_real, heaviside, ste_sign, swish_sign


@register_larq
class SteSign(WithMetrics, ste_sign.SteSign):
    """`tfq.quantizers.SteSign`."""


@register_larq
class ApproxSign(WithMetrics, bi_real.ApproxSign):
    """`tfq.quantizers.ApproxSign`."""


@register_larq
class MagnitudeAwareSign(WithMetrics, bi_real.MagnitudeAwareSign):
    """`tfq.quantizers.MagnitudeAwareSign`."""


@register_larq
class SwishSign(WithMetrics, swish_sign.SwishSign):
    """`tfq.quantizers.SwishSign`."""


@register_larq
class SteHeaviside(WithMetrics, heaviside.SteHeaviside):
    """`tfq.quantizers.SteHeaviside`."""
