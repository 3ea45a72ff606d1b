"""The step function with values 0 and 1, and a clipped straight-through estimator."""

from tfq import ste
from tfq.backend.keras import Tensor
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, register
from tfq.quantizers.clipped import Clipped


@register
class SteHeaviside(Clipped, InputQuantizer):
    """The step function; of inputs and kernels.

        q = 1 if x > 0 else 0,   dq/dx := [|x| <= clip_value]

    larq's `SteHeaviside`, after the straight-through estimator of arXiv:1602.02830. Both zeros and NaN give 0. It is exported as
    a kernel, which a packed graph holds as a ternary one; it has no form there as a quantizer of inputs.

    Args:
        clip_value: where the window ends, above 0; None lets every gradient pass.

    Raises:
        ValueError: `clip_value` is not above 0.
    """

    bits = 1
    is_elementwise = True

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`, of any shape."""
        return self.estimate(ste.heaviside, x)

    def grid(self) -> grids.Grid:
        """-1, 0 and 1, of which it leaves the first out. Not levels of [0, 1], whose step lies at 1/2."""
        return grids.Ternary()
