"""ReSTE (Wu et al. 2023, arXiv:2308.06689): signs with the derivative of a power function that nears the sign."""

import math
from typing import Any

from tfq import ste, sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, KernelQuantizer, check_number, register
from tfq.quantizers.scheduled import Scheduled


class _PowerFunction(Scheduled):
    """What the quantizers of weights and inputs share: the estimator."""

    bits = 1

    def __init__(self, o_end: float = 3.0, t: float = 1.5, m: float = 0.1) -> None:
        owner = type(self).__name__
        self.o_end = check_number(o_end, owner, "o_end", 1)
        self.m = check_number(m, owner, "m", 1e-6)
        self.t = check_number(t, owner, "t", self.m)

    def grid(self, **state: Tensor) -> grids.Grid:
        """Signs; of a kernel mean |W| is their scale."""
        return grids.Sign()

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"o_end": self.o_end, "t": self.t, "m": self.m}

    def _slope(self, x: Tensor, progress: Tensor | float) -> Tensor:
        """Derivative of sign(x) |x|^(1/o): linear up to m, 0 beyond t."""
        o = 1.0 + (self.o_end - 1.0) * (1.0 - ops.cos(0.5 * math.pi * ops.cast(progress, x.dtype)))
        size = ops.abs(x)
        power = ops.maximum(size, self.m) ** (1.0 / o - 1.0)
        return ops.where(size <= self.t, ops.where(size <= self.m, power, power / o), 0.0)


@register
class ReSTEWeights(_PowerFunction, KernelQuantizer):
    """Binary weights with one scale for the layer, and the power function as estimator.

        W~ = alpha sign(W),   alpha = mean |W|
        dC/dW_i := alpha f'(W_i) g_i + (sign(W_i) / n) sum_j sign(W_j) g_j
        f'(x) = |x|^(1/o - 1) / o for m < |x| <= t,   m^(1/o - 1) for |x| <= m,   else 0
        o = 1 + (o_end - 1) (1 - cos(p pi / 2))

    ReSTE: f(x) = sign(x) |x|^(1/o), with the gradient cut at t and taken from the secant below m; the scale, its exact
    gradient and the growth of o are those of the authors' code. p is the share of the training that is over:
    `tfq.callbacks.QuantizerProgress` sets it, and without that it stays 0, where f is the identity. Half-precision kernels are
    quantized in float32 and cast back.

    Args:
        o_end: o at the end of the training, at least 1.
        t: no gradient passes beyond.
        m: below it the gradient is that of the secant.

    Raises:
        ValueError: a number that is none of these, or t below m.
    """

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1, progress: Tensor | float = 0.0) -> Tensor:
        """Quantize the kernel `x`, with one scale for the whole layer."""
        w = promote(x, "float32")
        everything = tuple(range(len(w.shape)))

        @custom_gradient
        def call(w):
            alpha, signs = sums.mean(ops.abs(w), everything), ste.sign(w)

            def grad(upstream):
                return alpha * self._slope(w, progress) * upstream + signs * sums.mean(signs * upstream, everything)

            return alpha * signs, grad

        return ops.cast(call(w), x.dtype)


@register
class ReSTEInputs(_PowerFunction, InputQuantizer):
    """Binary activations: the sign, with the power function as estimator.

        q = +1 if x >= 0 else -1,   dq/dx := f'(x)

    ReSTE; f', o and the arguments as in `ReSTEWeights`. Half-precision inputs are compared in float32. NaN gives -1.

    Args:
        o_end: o at the end of the training, at least 1.
        t: no gradient passes beyond.
        m: below it the gradient is that of the secant.

    Raises:
        ValueError: a number that is none of these, or t below m.
    """

    def __call__(self, x: Tensor, progress: Tensor | float = 0.0) -> Tensor:
        """Quantize `x`, of any shape."""

        @custom_gradient
        def call(x):
            return ste.sign(x), lambda upstream: upstream * self._slope(x, progress)

        return ops.cast(call(promote(x, "float32")), x.dtype)

    def window(self, **state: Tensor) -> tuple[float, float]:
        """Up to t on both sides."""
        return -self.t, self.t
