"""Bi-Real Net (Liu et al. 2018, arXiv:1808.00278): a closer gradient for the sign of inputs, and scaled signs for kernels."""

from typing import Any

from tfq import ste, sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, KernelQuantizer, register
from tfq.quantizers.clipped import Clipped


@register
class ApproxSign(InputQuantizer):
    """The sign, with the gradient of a piecewise quadratic function; of inputs and kernels.

        q = +1 if x >= 0 else -1,   dq/dx := (2 - 2 |x|) [|x| <= 1]

    Bi-Real Net (arXiv:1808.00278), section 3.3, the derivative of ApproxSign. NaN gives -1.
    """

    bits = 1
    is_elementwise = True

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`, of any shape."""
        return ops.cast(_approx_sign(promote(x, "float32")), x.dtype)

    def window(self) -> tuple[float, float]:
        """Where the quadratic pieces end."""
        return -1.0, 1.0

    def grid(self) -> grids.Grid:
        """Signs."""
        return grids.Sign()


@register
class MagnitudeAwareSign(Clipped, KernelQuantizer):
    """Binary weights with one scale a filter, which counts as a constant in the backward pass.

        W~ = alpha sign(W),   alpha = mean |W| over the filter,   dC/dW_i := alpha g_i [|W_i| <= clip_value]

    Bi-Real Net (arXiv:1808.00278), section 3.3, the magnitude-aware gradient with respect to the weights. The values are those of
    `XnorWeights`, whose gradient passes through alpha too. Half-precision kernels are quantized in float32 and cast back.

    Args:
        clip_value: where the window ends, above 0; None lets every gradient pass.

    Raises:
        ValueError: `clip_value` is not above 0.
    """

    bits = 1

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1) -> Tensor:
        """Quantize the kernel `x`; `channel_axis` as in `KernelQuantizer`."""
        axes = grids.filter_axes(len(x.shape), channel_axis)
        return ops.cast(_scaled_sign(promote(x, "float32"), axes, self.clip_value), x.dtype)

    def grid(self) -> grids.Grid:
        """Signs; alpha is their scale."""
        return grids.Sign()


@custom_gradient
def _approx_sign(x: Tensor) -> Any:
    def grad(upstream):
        size = ops.abs(x)
        return ops.where(size <= 1, (2 - 2 * size) * upstream, 0.0)

    return ste.sign(x), grad


def _scaled_sign(w, axes, clip_value):
    @custom_gradient
    def call(w):
        alpha = sums.mean(ops.abs(w), axes)
        return alpha * ste.sign(w), lambda upstream: ste.clipped(alpha * upstream, w, clip_value)

    return call(w)
