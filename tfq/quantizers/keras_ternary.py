"""The ternary rule of Keras 3.16 (`keras.layers.TernaryDense`), for any kernel."""

from typing import Any

from tfq import sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import KernelQuantizer, register


@register
class KerasTernaryWeights(KernelQuantizer):
    """Ternary weights as Keras' own ternary layer has them, one threshold and one scale for the layer.

        beta = mean |W|
        W~_i = beta t_i,   t_i = sign(W_i) if |W_i| > beta / 2 else 0
        dC/dW_i := beta g_i + (sign(W_i) / n) sum_j t_j g_j

    `keras.layers.TernaryDense` of Keras 3.16 with its default threshold: the gradient of t is the identity, that of beta is
    exact, since the layer multiplies its result by beta. The sum runs over all n weights; sign(0) is 0. `BitNetWeights` gives the
    same values where mean |W| is at least 1e-5, but leaves beta out of the gradient. Half-precision kernels are quantized in
    float32 and cast back.
    """

    bits = 2

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1) -> Tensor:
        """Quantize the kernel `x`, with one scale for the whole layer."""
        return ops.cast(_ternarize(promote(x, "float32")), x.dtype)

    def grid(self) -> grids.Grid:
        """-1, 0 and 1; beta is their scale."""
        return grids.Ternary()


@custom_gradient
def _ternarize(w: Tensor) -> Any:
    everything = tuple(range(len(w.shape)))
    size, signs = ops.abs(w), ops.sign(w)
    beta = sums.mean(size, everything)
    ternary = signs * ops.cast(size > 0.5 * beta, w.dtype)

    def grad(upstream):
        return beta * upstream + signs * sums.mean(ternary * upstream, everything)

    return beta * ternary, grad
