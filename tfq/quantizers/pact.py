"""PACT (Choi et al. 2018, arXiv:1805.06085): activations of k bits up to a clip that is trained."""

from collections.abc import Callable
from typing import Any

from tfq import ste
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, keras, ops
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, check_number, register
from tfq.quantizers.dorefa import KBits

# A clip that is trained below this stands for it.
_SMALLEST = 1e-6


@register
class PACTInputs(KBits, InputQuantizer):
    """Activations of k bits in [0, alpha], alpha trained, one for the layer.

        y = clip(x, 0, alpha),   q = round(y (2^k - 1) / alpha) alpha / (2^k - 1)
        dC/dx_i    := g_i [0 <= x_i < alpha]
        dC/dalpha  := sum of g_i over {i : x_i >= alpha}

    PACT, section 3, equations 1 to 3. The clip replaces a ReLU. Section 3 adds alpha^2 to the loss, with the factor of the
    weights' penalty; without it an alpha that no value exceeds stays as it is. Ties round to even. An alpha that becomes smaller
    than 1e-6 counts as 1e-6. Half-precision inputs are quantized in float32 and cast back.

    Args:
        bits: 1 to 16, or 32 to pass the activations through.
        alpha: what the clip starts from; 10 in the paper's experiments.
        l2: factor of alpha^2 in the loss.

    Raises:
        ValueError: another number of bits, an `alpha` below 1e-6, or a negative `l2`.
    """

    def __init__(self, bits: int, alpha: float = 10.0, l2: float = 1e-4) -> None:
        super().__init__(bits)
        self.alpha = check_number(alpha, "PACTInputs", "alpha", _SMALLEST)
        self.l2 = check_number(l2, "PACTInputs", "l2", 0)

    def build(self, add_weight: Callable, shape: tuple) -> dict[str, Any]:
        """The clip of a layer."""
        if self.is_off:
            return {}
        start, penalty = keras.initializers.Constant(self.alpha), keras.regularizers.L2(self.l2)
        return {"alpha": add_weight("alpha", initializer=start, regularizer=penalty if self.l2 else None)}

    def __call__(self, x: Tensor, alpha: Tensor | None = None) -> Tensor:
        """Quantize `x`, (batch, ...)."""
        if self.is_off:
            return x
        self.check_state(alpha, "a clip")
        full = promote(x, "float32")
        return ops.cast(_clipped_levels(full, ops.cast(alpha, full.dtype), self.bits), x.dtype)

    def window(self, **state: Tensor) -> tuple[float, float] | None:
        """From 0 to the clip."""
        grid = self.grid(**state)
        return None if grid is None else (grid.low, grid.high)

    def grid(self, alpha: Tensor | None = None) -> grids.Levels | None:
        """Levels from 0 to the clip."""
        if self.is_off or alpha is None:
            return None
        return grids.Levels(self.bits, 0.0, float(ops.convert_to_numpy(ops.maximum(alpha, _SMALLEST))))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {**super().get_config(), "alpha": self.alpha, "l2": self.l2}


def _clipped_levels(x, alpha, bits):
    @custom_gradient
    def call(x, alpha):
        clip = ops.maximum(alpha, _SMALLEST)

        def grad(upstream):
            by_x = ops.where(ops.logical_and(x >= 0, x < clip), upstream, 0.0)
            # Image by image first: a long sum loses bits.
            by_image = ops.sum(ops.where(x >= clip, upstream, 0.0), axis=tuple(range(1, len(x.shape))))
            return by_x, ops.sum(by_image)

        return clip * ste.round_to_levels(ops.clip(x / clip, 0.0, 1.0), bits), grad

    return call(x, alpha)
