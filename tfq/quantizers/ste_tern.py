"""Ternary values without a scale, with a clipped straight-through estimator."""

import numbers
from typing import Any

from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, register
from tfq.quantizers.clipped import Clipped


@register
class SteTern(Clipped, InputQuantizer):
    """-1, 0 and 1, by a fixed threshold; of inputs and kernels.

        q = sign(x) if |x| >= threshold_value and x != 0, else 0,   dq/dx := [|x| <= clip_value]

    larq's `SteTern`, after the straight-through estimator of arXiv:1602.02830. NaN gives 0. `TernaryWeights` takes threshold and
    scale from the weights.

    Args:
        threshold_value: the threshold, 0 or above.
        clip_value: where the window ends, above 0; None lets every gradient pass.

    Raises:
        ValueError: `threshold_value` is below 0, or `clip_value` not above 0.
    """

    bits = 2

    def __init__(self, threshold_value: float = 0.05, clip_value: float | None = 1.0) -> None:
        super().__init__(clip_value)
        number = isinstance(threshold_value, numbers.Real) and not isinstance(threshold_value, bool)
        if not number or not threshold_value >= 0:
            raise ValueError(
                f"{type(self).__name__}: threshold_value must be 0 or above; got threshold_value={threshold_value!r}"
            )
        self.threshold_value = float(threshold_value)

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`, of any shape."""
        return self.estimate(self._states, x)

    def threshold(self, x: Tensor) -> Any:
        """The threshold for `x`."""
        return self.threshold_value

    def _states(self, x):
        at = self.threshold(x)
        # Two steps: where both threshold and x are 0 they cancel.
        return ops.cast(x >= at, x.dtype) - ops.cast(x <= -at, x.dtype)

    def grid(self) -> grids.Grid:
        """-1, 0 and 1."""
        return grids.Ternary()

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"threshold_value": self.threshold_value, **super().get_config()}
