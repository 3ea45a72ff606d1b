"""What quantizers with a clipped straight-through estimator have in common: the width of its window."""

import numbers
from collections.abc import Callable
from typing import Any

from tfq import ste
from tfq.backend import signs
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers.base import Quantizer


class Clipped(Quantizer):
    """A quantizer whose gradient passes where |x| <= clip_value; None lets it pass everywhere."""

    def __init__(self, clip_value: float | None = 1.0) -> None:
        self.clip_value: float | None = _check(clip_value, type(self).__name__)

    def window(self) -> tuple[float, float] | None:
        """Of the clipped straight-through estimator."""
        clip_value = self.clip_value
        return None if clip_value is None else (-clip_value, clip_value)

    def estimate(self, step: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """`step(x)`, computed in float32 at least, in the type of `x`; its gradient is that of x within the window."""

        @custom_gradient
        def call(w):
            return step(w), lambda upstream: ste.clipped(upstream, w, self.clip_value)

        return ops.cast(call(promote(x, "float32")), x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"clip_value": self.clip_value}


def sign_window(quantizer: Any, x: Tensor) -> tuple[float, float] | None:
    """The window of a quantizer that is a clipped sign, where the backend has faster means for signs of `x`; None otherwise."""
    if not getattr(quantizer, "is_clipped_sign", False) or not signs.are_fast(x):
        return None
    return quantizer.window()


def _check(clip_value: float | None, owner: str) -> float | None:
    if clip_value is None:
        return None
    if isinstance(clip_value, bool) or not isinstance(clip_value, numbers.Real) or not clip_value > 0:
        raise ValueError(f"{owner}: clip_value must be above 0, or None; got clip_value={clip_value!r}")
    return float(clip_value)
