"""A kernel that is stored as it came out of its quantizer."""

from collections.abc import Callable
from typing import Any, Self

from tfq.backend.gradients import read
from tfq.backend.keras import Tensor, keras, ops
from tfq.quantizers import grids
from tfq.quantizers.base import FULL_PRECISION, KernelQuantizer, Quantizer, register


@register
class Stored(KernelQuantizer):
    """Passes on a kernel that was quantized before it was stored, so that it is not quantized twice.

        W~ = W
        dC/dW_i := 0

    A scaled quantizer does not give its own values again: the mean of |W| rounds, and the threshold of ternary weights and the
    tanh of DoReFa move. Bits, grid and variables are those of the quantizer; a training leaves the kernel as it is.
    `tfq.quantized_weights` puts it in the place of quantizers.

    Args:
        quantizer: what gave the values.
    """

    def __init__(self, quantizer: Callable[..., Tensor]) -> None:
        self.quantizer = quantizer
        self.bits = getattr(quantizer, "bits", FULL_PRECISION)

    @property
    def is_off(self) -> bool:
        """Whether the values are those of the latent kernel."""
        return getattr(self.quantizer, "is_off", False)

    def build(self, add_weight: Callable, shape: tuple, channel_axis: int | tuple[int, ...] = -1) -> dict[str, Any]:
        """The variables of the quantizer, in which its scale may be."""
        if isinstance(self.quantizer, KernelQuantizer):
            return self.quantizer.build(add_weight, shape, channel_axis=channel_axis)
        return {}

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1, **state: Tensor) -> Tensor:
        """The kernel `x`."""
        return ops.stop_gradient(read(x))

    def grid(self, **state: Tensor) -> grids.Grid | None:
        """That of the quantizer."""
        return self.quantizer.grid(**state) if isinstance(self.quantizer, Quantizer) else None

    def encode(self, kernel: Tensor, channel_axis: int | tuple[int, ...] = -1, **state: Tensor) -> grids.Codes:
        """The kernel as integers and their scale."""
        grid = self.grid(**state)
        if isinstance(grid, grids.Integers) and isinstance(self.quantizer, KernelQuantizer):  # it alone knows their step
            return self.quantizer.encode(kernel, channel_axis=channel_axis, **state)
        return grids.encode(kernel, grid, channel_axis)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {"quantizer": keras.saving.serialize_keras_object(self.quantizer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object that `config` describes."""
        return cls(keras.saving.deserialize_keras_object(config["quantizer"]))
