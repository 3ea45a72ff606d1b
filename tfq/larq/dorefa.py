"""larq's DoReFa, of activations and of weights in one class."""

from collections.abc import Iterable
from typing import Any

from tfq.backend.gradients import promote
from tfq.backend.keras import Tensor, ops
from tfq.larq.base import WithMetrics, register_larq
from tfq.quantizers import grids
from tfq.quantizers.base import FULL_PRECISION, check_bits
from tfq.quantizers.dorefa import DoReFaInputs, soft_clipped_levels

_OPERANDS = {"activations": "inputs", "weights": "kernel"}


@register_larq
class DoReFa(WithMetrics):
    """`DoReFaInputs`; or `DoReFaWeights`, but for one bit, to which larq gives the levels of the others.

        activations:  q = Q_k(min(max(x, 0), 1)),                           dq/dx := [0 <= x <= 1]
        weights:      W~ = 2 Q_k( tanh(W) / (2 max|tanh(W)|) + 1/2 ) - 1,   dC/dW_i := g_i (1 - tanh(W_i)^2) / max|tanh(W)|

    DoReFa-Net, arXiv:1606.06160, equations 5, 9 and 11. Its own rule for one bit of weights, with the scale E|W|, is
    `DoReFaWeights(1)`. As in larq, the activations' rule is the default, of kernels too.

    Args:
        k_bit: 1 to 16, or 32 to pass the operand through.
        mode: `"activations"` or `"weights"`.
        metrics: names of metrics of the kernel, such as `["flip_ratio"]`.

    Raises:
        ValueError: there is no such number of bits, or mode.
    """

    def __init__(self, k_bit: int = 2, mode: str = "activations", metrics: Iterable[str] | None = None) -> None:
        super().__init__(metrics=metrics)
        if mode not in _OPERANDS:
            raise ValueError(f"DoReFa: mode must be 'activations' or 'weights'; got mode={mode!r}")
        self.bits = check_bits(k_bit, "DoReFa")
        self.mode = mode
        self.operand = _OPERANDS[mode]

    @property
    def is_off(self) -> bool:
        """Whether it has 32 bits."""
        return self.bits == FULL_PRECISION

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`, of any shape."""
        if self.mode == "activations" or self.is_off:
            return DoReFaInputs(self.bits)(x)
        return ops.cast(soft_clipped_levels(promote(x, "float32"), self.bits), x.dtype)

    def window(self) -> tuple[float, float] | None:
        """Of the clip of activations."""
        return DoReFaInputs(self.bits).window() if self.mode == "activations" else None

    def grid(self) -> grids.Grid | None:
        """Levels of [0, 1], or of [-1, 1]."""
        if self.mode == "activations" or self.is_off:
            return DoReFaInputs(self.bits).grid()
        return grids.Sign() if self.bits == 1 else grids.Levels(self.bits, -1.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"k_bit": self.bits, "mode": self.mode, **super().get_config()}
