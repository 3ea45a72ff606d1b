"""larq's SteTern, whose threshold may be that of Ternary Weight Networks."""

from collections.abc import Iterable
from typing import Any

from tfq import sums
from tfq.backend.keras import Tensor, ops
from tfq.larq.base import WithMetrics, register_larq
from tfq.quantizers import ste_tern
from tfq.quantizers.base import check_flag


@register_larq
class SteTern(WithMetrics, ste_tern.SteTern):
    """-1, 0 and 1 by a threshold, which is fixed, or that of Ternary Weight Networks (arXiv:1605.04711, equation 6).

        q = sign(x) if |x| >= Delta and x != 0, else 0,   Delta = threshold_value, or 0.7 mean |x|,   dq/dx := [|x| <= clip_value]

    There is no scale, which the paper has: with it, that is `TernaryWeights`. The mean runs over the whole tensor, so that this
    threshold is for kernels alone.

    Args:
        threshold_value: the threshold, 0 or above.
        ternary_weight_networks: whether to take 0.7 mean |x| instead.
        clip_value: where the window ends, above 0; None lets every gradient pass.
        metrics: names of metrics of the kernel, such as `["flip_ratio"]`.
    """

    def __init__(
        self,
        threshold_value: float = 0.05,
        ternary_weight_networks: bool = False,
        clip_value: float | None = 1.0,
        metrics: Iterable[str] | None = None,
    ) -> None:
        super().__init__(threshold_value, clip_value, metrics=metrics)
        self.ternary_weight_networks = check_flag(ternary_weight_networks, "SteTern", "ternary_weight_networks")
        self.operand = "kernel" if self.ternary_weight_networks else "inputs"

    def threshold(self, x: Tensor) -> Any:
        """The threshold for `x`."""
        if not self.ternary_weight_networks:
            return super().threshold(x)
        return 0.7 * sums.mean(ops.abs(x), tuple(range(len(x.shape))))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {**super().get_config(), "ternary_weight_networks": self.ternary_weight_networks}
