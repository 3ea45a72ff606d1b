"""BNN+ (Darabi et al. 2018, arXiv:1812.11800): the sign with the gradient of a swish."""

import numbers
from typing import Any

from tfq import ste
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, register

# exp(100) is beyond float32: the gradient is 0 there, and no product on the way to it has yet become infinite.
_FAR = 100.0


@register
class SwishSign(InputQuantizer):
    """The sign, with the gradient of the SignSwish function; of inputs and kernels.

        q = +1 if x >= 0 else -1
        dq/dx := beta (2 - beta x tanh(beta x / 2)) / (1 + cosh(beta x))

    BNN+ (arXiv:1812.11800), section 3.1, the derivative of SS_beta. It is negative beyond |beta x| = 2.4, and 0 far out. NaN
    gives -1. Half-precision operands are quantized in float32 and cast back.

    Args:
        beta: above 0; larger values come closer to the derivative of the sign.

    Raises:
        ValueError: `beta` is not above 0.
    """

    bits = 1
    is_elementwise = True

    def __init__(self, beta: float = 5.0) -> None:
        if isinstance(beta, bool) or not isinstance(beta, numbers.Real) or not beta > 0:
            raise ValueError(f"{type(self).__name__}: beta must be above 0; got beta={beta!r}")
        self.beta: float = float(beta)

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`, of any shape."""
        return ops.cast(_swish_sign(promote(x, "float32"), self.beta), x.dtype)

    def grid(self) -> grids.Grid:
        """Signs."""
        return grids.Sign()

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"beta": self.beta}


def _swish_sign(x, beta):
    @custom_gradient
    def call(x):
        def grad(upstream):
            t = ops.clip(beta * x, -_FAR, _FAR)
            return upstream * beta * (2 - t * ops.tanh(t * 0.5)) / (1 + ops.cosh(t))

        return ste.sign(x), grad

    return call(x)
