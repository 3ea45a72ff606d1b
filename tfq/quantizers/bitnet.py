"""BitNet b1.58 (Ma et al. 2024, arXiv:2402.17764): ternary weights, and activations of 8 bits with a scale a token."""

from typing import Any

from tfq import sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, KernelQuantizer, register

# The authors' code divides by no smaller scale.
_SMALLEST = 1e-5
_HIGHEST = 127.0


@register
class BitNetWeights(KernelQuantizer):
    """Ternary weights by rounding, with the mean size as scale, one for the layer.

        gamma = max(mean |W|, 1e-5)
        W~    = gamma round(clip(W / gamma, -1, 1))
        dC/dW_i := g_i

    BitNet b1.58, section 2, equations 1 to 3. The paper adds a small epsilon to mean |W| in the quotient; the authors' code
    takes the maximum, in both places. Ties round to even, so that |W| = gamma / 2 gives 0. Half-precision kernels are quantized
    in float32 and cast back.
    """

    bits = 2

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1) -> Tensor:
        """Quantize the kernel `x`, with one scale for the whole layer."""
        return ops.cast(_ternarize(promote(x, "float32")), x.dtype)

    def grid(self) -> grids.Grid:
        """-1, 0 and 1; gamma is their scale."""
        return grids.Ternary()


@register
class BitNetInputs(InputQuantizer):
    """Activations of 8 bits, symmetric, with a scale for each token: each vector along the last axis.

        s = max(max |x|, 1e-5) / 127 over the token
        q = s round(x / s)
        dq/dx := 1

    BitNet b1.58, section 2 (activations are scaled to [-Q_b, Q_b] per token, without a zero point); the authors' code. The scale
    follows the data, so that no grid is known beforehand, and a `.tfq` file does not hold these inputs. Ties round to even.
    Half-precision inputs are quantized in float32 and cast back.
    """

    bits = 8

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`, (..., channels)."""
        return ops.cast(_per_token(promote(x, "float32")), x.dtype)


@custom_gradient
def _ternarize(w: Tensor) -> Any:
    gamma = ops.maximum(sums.mean(ops.abs(w), tuple(range(len(w.shape)))), _SMALLEST)
    return gamma * ops.round(ops.clip(w / gamma, -1.0, 1.0)), lambda upstream: upstream


@custom_gradient
def _per_token(x: Tensor) -> Any:
    step = ops.maximum(ops.max(ops.abs(x), axis=-1, keepdims=True), _SMALLEST) / _HIGHEST
    return step * ops.clip(ops.round(x / step), -_HIGHEST, _HIGHEST), lambda upstream: upstream
