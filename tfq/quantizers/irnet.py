"""IR-Net (Qin et al. 2020, arXiv:1909.10788): balanced signs, scaled by powers of two, with an estimator that sharpens."""

import math
from typing import Any

from tfq import ste, sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, KernelQuantizer, register
from tfq.quantizers.scheduled import Scheduled
from tfq.quantizers.standardization import standardized

# Slope of the tanh at the start and at the end of the training.
_T_MIN, _T_MAX = 0.1, 10.0


@register
class IRNetWeights(Scheduled, KernelQuantizer):
    """Binary weights of standardized filters, with a power of two as scale of each (Libra-PB).

        u  = (W - mean W) / std W,   both over the filter
        W~ = 2^s sign(u),   s = round(log2(mean |u|))
        dC/du_i := g_i 2^s k t (1 - tanh(t u_i)^2),   and through u exactly
        t = T_min (T_max / T_min)^p,   k = max(1 / t, 1),   T_min = 0.1,   T_max = 10

    IR-Net, section 3.2 (Libra parameter binarization) and section 3.3 (error decay estimator); p is the share of the training
    that is over: `tfq.callbacks.QuantizerProgress` sets it, and without that it stays 0. std divides by n - 1, as in the authors'
    code.
    The scale counts as a constant in the backward pass. A filter of equal weights gives zeros, without a gradient.
    Half-precision kernels are quantized in float32 and cast back.
    """

    bits = 1

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1, progress: Tensor | float = 0.0) -> Tensor:
        """Quantize the kernel `x`; `channel_axis` as in `KernelQuantizer`."""
        w = promote(x, "float32")
        axes = grids.filter_axes(len(w.shape), channel_axis)
        return ops.cast(_shifted_sign(standardized(w, axes), axes, progress), x.dtype)

    def grid(self, **state: Tensor) -> grids.Grid:
        """Signs; 2^s is their scale."""
        return grids.Sign()


@register
class IRNetInputs(Scheduled, InputQuantizer):
    """Binary activations: the sign, with an estimator that sharpens in the course of the training.

        q = +1 if x >= 0 else -1,   dq/dx := k t (1 - tanh(t x)^2)

    IR-Net, section 3.3 (error decay estimator); k, t and progress as in `IRNetWeights`. Half-precision inputs are compared in
    float32. NaN gives -1.
    """

    bits = 1

    def __call__(self, x: Tensor, progress: Tensor | float = 0.0) -> Tensor:
        """Quantize `x`, of any shape."""

        @custom_gradient
        def call(x):
            return ste.sign(x), lambda upstream: upstream * _slope(x, progress)

        return ops.cast(call(promote(x, "float32")), x.dtype)

    def grid(self, **state: Tensor) -> grids.Grid:
        """Signs."""
        return grids.Sign()


def _slope(x, progress):
    """Derivative of k tanh(t x)."""
    t = _T_MIN * ops.exp(math.log(_T_MAX / _T_MIN) * ops.cast(progress, x.dtype))
    return ops.maximum(1.0 / t, 1.0) * t * (1.0 - ops.tanh(t * x) ** 2)


def _shifted_sign(u, axes, progress):
    @custom_gradient
    def call(u):
        size = sums.mean(ops.abs(u), axes)
        shift = ops.round(ops.log2(ops.where(size > 0, size, 1.0)))
        scale = ops.where(size > 0, _power_of_two(shift), 0.0)

        def grad(upstream: Any) -> Any:
            return upstream * scale * _slope(u, progress)

        return scale * ste.sign(u), grad

    return call(u)


def _power_of_two(exponent):
    # Rounded, since powers are inexact on some backends. The mean size of standardized weights is below 1.
    return 1.0 / ops.round(ops.power(2.0, -exponent))
