"""ReCU (Xu et al. 2021, arXiv:2103.12369): signs of weights that are clamped, so that weights far from 0 can change theirs."""

import math
from collections.abc import Callable
from typing import Any

from tfq import ste, sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import KernelQuantizer, check_number, register
from tfq.quantizers.scheduled import Scheduled
from tfq.quantizers.standardization import standardized

# Weights get the variance 8 of a Laplace distribution with parameter 2.
_DEVIATION = 2 * math.sqrt(2)
_EPSILON = 1e-5


@register
class ReCUWeights(Scheduled, KernelQuantizer):
    """Binary weights of clamped, standardized filters, with a trained scale for each filter.

        v  = 2 sqrt(2) (W - mean W) / sqrt(var W + 1e-5),   both over the filter
        Q  = -ln(2 - 2 tau) mean |v|,   the mean over the layer
        W~ = alpha sign(clip(v, -Q, Q))
        dC/dv_i   := alpha g_i [|v_i| <= Q],   and through v exactly
        dC/dalpha := sum of g_i sign(v_i) over the filter

    ReCU, section 3: the rectified clamp unit, where Q is the quantile tau of a Laplace distribution; the standardization; and
    tau, which grows with the progress p of the training:

        tau = a e^p + b,   from tau_min at p = 0 to tau_max at p = 1

    `tfq.callbacks.QuantizerProgress` sets p; without that it stays 0. Epsilon, the factor 2 sqrt(2), the variance over n - 1 and
    a Q without gradient are those of the authors' code. alpha starts from 1, there from random numbers. Half-precision kernels
    are quantized in float32 and cast back.

    Args:
        tau_min: quantile at the start of the training.
        tau_max: and at its end.

    Raises:
        ValueError: a number that is not from 0.5 to 0.9999, or tau_max below tau_min.
    """

    bits = 1

    def __init__(self, tau_min: float = 0.85, tau_max: float = 0.99) -> None:
        self.tau_min = check_number(tau_min, "ReCUWeights", "tau_min", 0.5, 0.9999)
        self.tau_max = check_number(tau_max, "ReCUWeights", "tau_max", self.tau_min, 0.9999)

    def build(self, add_weight: Callable, shape: tuple, channel_axis: int | tuple[int, ...] = -1) -> dict[str, Any]:
        """The progress of the training, and a scale for each filter."""
        spanned = grids.filter_axes(len(shape), channel_axis)
        scales = tuple(1 if axis in spanned else size for axis, size in enumerate(shape))
        return {**super().build(add_weight, shape, channel_axis), "alpha": add_weight("alpha", shape=scales, initializer="ones")}

    def __call__(
        self,
        x: Tensor,
        channel_axis: int | tuple[int, ...] = -1,
        progress: Tensor | float = 0.0,
        alpha: Tensor | None = None,
    ) -> Tensor:
        """Quantize the kernel `x`; `channel_axis` as in `KernelQuantizer`."""
        self.check_state(alpha, "scales")
        w = promote(x, "float32")
        axes = grids.filter_axes(len(w.shape), channel_axis)
        v = _DEVIATION * standardized(w, axes, _EPSILON)
        return ops.cast(_clamped_sign(v, ops.cast(alpha, w.dtype), axes, self._tau(progress, w.dtype)), x.dtype)

    def grid(self, **state: Tensor) -> grids.Grid:
        """Signs; alpha is their scale."""
        return grids.Sign()

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"tau_min": self.tau_min, "tau_max": self.tau_max}

    def _tau(self, progress, dtype):
        a = (self.tau_max - self.tau_min) / (math.e - 1)
        return a * ops.exp(ops.cast(progress, dtype)) + (self.tau_min - a)


def _clamped_sign(v, alpha, axes, tau):
    @custom_gradient
    def call(v, alpha):
        highest = -ops.log(2.0 - 2.0 * tau) * sums.mean(ops.abs(v), tuple(range(len(v.shape))))
        signs = ste.sign(v)

        def grad(upstream):
            inside = ops.cast(ops.abs(v) <= highest, v.dtype)
            return upstream * alpha * inside, sums.total(upstream * signs, axes)

        return alpha * signs, grad

    return call(v, alpha)
