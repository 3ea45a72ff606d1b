"""The sign with a clipped straight-through estimator (Hubara et al. 2016, arXiv:1602.02830)."""

from tfq import ste
from tfq.backend.keras import Tensor
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, register
from tfq.quantizers.clipped import Clipped


@register
class SteSign(Clipped, InputQuantizer):
    """The sign, with a straight-through estimator whose window has a width of its own; of inputs and kernels.

        q = +1 if x >= 0 else -1,   dq/dx := [|x| <= clip_value]

    Hubara et al. (BinaryNet, arXiv:1602.02830), section 1.3, equation 4. With a window of 1 it is `XnorInputs`. NaN gives -1.

    Args:
        clip_value: where the window ends, above 0; None lets every gradient pass.

    Raises:
        ValueError: `clip_value` is not above 0.
    """

    bits = 1
    is_elementwise = True
    is_clipped_sign = True

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`, of any shape."""
        return self.estimate(ste.sign, x)

    def grid(self) -> grids.Grid:
        """Signs."""
        return grids.Sign()
