"""Constraints on latent weights."""

import numbers
from typing import Any

from tfq.backend.keras import Tensor, add_custom_objects, keras, ops
from tfq.quantizers.base import register


@register
class WeightClip(keras.constraints.Constraint):
    """Clip latent weights to [-clip_value, clip_value] after each update.

    A latent weight beyond the window of the clipped STE gets no gradient through its sign, and would drift without effect. The
    layers of tfq know it by the string `"weight_clip"`.

    Args:
        clip_value: bound, above 0. Default 1, the window of the STE.
    """

    def __init__(self, clip_value: float = 1.0) -> None:
        if isinstance(clip_value, bool) or not isinstance(clip_value, numbers.Real) or not clip_value > 0:
            raise ValueError(f"WeightClip: clip_value must be above 0; got clip_value={clip_value!r}")
        self.clip_value: float = float(clip_value)

    def __call__(self, w: Tensor) -> Tensor:
        """`w` clipped."""
        return ops.clip(w, -self.clip_value, self.clip_value)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"clip_value": self.clip_value}


# tf_keras looks strings up among the custom objects; Keras 3 has a closed list, so there the string works in tfq's layers only.
add_custom_objects({"weight_clip": WeightClip})


def get(identifier: Any) -> keras.constraints.Constraint | None:
    """As `keras.constraints.get`, and knows `"weight_clip"`, or `"WeightClip"`."""
    if isinstance(identifier, str) and identifier in ("weight_clip", "WeightClip"):
        return WeightClip()
    return keras.constraints.get(identifier)
