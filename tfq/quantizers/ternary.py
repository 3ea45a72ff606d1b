"""Ternary Weight Networks (Li et al. 2016, arXiv:1605.04711): weights from {-alpha, 0, +alpha}."""

from typing import Any

from tfq import sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import KernelQuantizer, check_flag, register


@register
class TernaryWeights(KernelQuantizer):
    """Ternary weights with a threshold and a scale computed from the latent weights.

        Delta = 0.7 mean |W|
        W~_i  = alpha sign(W_i) if |W_i| > Delta else 0,   alpha = mean of |W_i| over {i : |W_i| > Delta}
        dC/dW_i := g_i

    TWN, section 2.2, equations 3 to 6 (0.7 is the paper's approximation), section 2.3 for the gradient: the identity, on the
    latent weights, which are not clipped. The comparison is strict, so weights that are all zero give zeros; where no weight
    survives, alpha is 0. larq's `ste_tern` has no alpha, counts |W_i| = Delta as a survivor, and clips the gradient.

    Half-precision kernels are quantized in float32 and cast back.

    Args:
        per_filter: compute Delta and alpha for each output channel; by default for the whole layer, as the paper does.
    """

    bits = 2

    def __init__(self, per_filter: bool = False) -> None:
        self.per_filter = check_flag(per_filter, type(self).__name__, "per_filter")

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1) -> Tensor:
        """Quantize the kernel `x`; `channel_axis` as in `KernelQuantizer`."""
        rank = len(x.shape)
        axes = grids.filter_axes(rank, channel_axis) if self.per_filter else tuple(range(rank))
        return ops.cast(_ternarize(promote(x, "float32"), axes), x.dtype)

    def grid(self) -> grids.Grid:
        """-1, 0 and 1; alpha is their scale."""
        return grids.Ternary()

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"per_filter": self.per_filter}


def _ternarize(w, axes):
    @custom_gradient
    def call(w):
        size = ops.abs(w)
        delta = 0.7 * sums.mean(size, axes)
        survivors = ops.cast(size > delta, w.dtype)
        alpha = sums.total(size * survivors, axes) / ops.maximum(sums.total(survivors, axes), 1.0)
        return alpha * survivors * ops.sign(w), lambda upstream: upstream

    return call(w)
