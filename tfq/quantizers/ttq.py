"""Trained Ternary Quantization (Zhu et al. 2016, arXiv:1612.01064): weights from {-W_n, 0, W_p} with two trained scales."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfq import sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import KernelQuantizer, check_number, register


@register
class TTQWeights(KernelQuantizer):
    """Ternary weights whose two scales are trained, one of each for the layer.

        Delta = t max |W|
        W~_i  = W_p if W_i > Delta,   -W_n if W_i < -Delta,   else 0
        dC/dW_i := g_i W_p,   g_i W_n,   g_i   in these three regions
        dC/dW_p := sum of g_i over the first,   dC/dW_n := -sum of g_i over the second

    TTQ, section 4, equations 6 to 9. Equation 7 has no minus in front of the sum for W_n, whose weights are -W_n; the authors'
    code has it. Both scales start from 1, as there. They are not kept positive. The comparisons are strict. A packed network
    has one scale for both signs, so that no `.tfq` file holds these kernels. Half-precision kernels are quantized in float32 and
    cast back.

    Args:
        threshold: t, from 0 to 1.

    Raises:
        ValueError: it is none.
    """

    bits = 2

    def __init__(self, threshold: float = 0.05) -> None:
        self.threshold = check_number(threshold, "TTQWeights", "threshold", 0, 1)

    def build(self, add_weight: Callable, shape: tuple, channel_axis: int | tuple[int, ...] = -1) -> dict[str, Any]:
        """W_p and W_n."""
        return {name: add_weight(name, initializer="ones") for name in ("positive", "negative")}

    def __call__(
        self,
        x: Tensor,
        channel_axis: int | tuple[int, ...] = -1,
        positive: Tensor | None = None,
        negative: Tensor | None = None,
    ) -> Tensor:
        """Quantize the kernel `x`."""
        self.check_state(positive, "two scales")
        w = promote(x, "float32")
        positive, negative = ops.cast(positive, w.dtype), ops.cast(negative, w.dtype)
        return ops.cast(_ternarize(w, positive, negative, self.threshold), x.dtype)

    def grid(self, positive: Tensor | float = 1.0, negative: Tensor | float = 1.0) -> grids.Grid:
        """-W_n, 0 and W_p."""
        return grids.UnevenTernary(*(float(ops.convert_to_numpy(scale)) for scale in (positive, negative)))

    def encode(self, kernel: Tensor, channel_axis: int | tuple[int, ...] = -1, **state: Tensor) -> grids.Codes:
        """-1, 0 and 1, whose scales are the grid's."""
        above, below = _regions(promote(kernel, "float32"), self.threshold)
        codes = ops.convert_to_numpy(above - below).astype(np.int64)
        return grids.Codes(codes, np.ones((1,) * codes.ndim, np.float32), self.grid(**state))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"threshold": self.threshold}


def _regions(w, threshold):
    """1 where weights lie above Delta, else 0, and the same below -Delta."""
    delta = threshold * ops.max(ops.abs(w))
    return ops.cast(w > delta, w.dtype), ops.cast(w < -delta, w.dtype)


def _ternarize(w, positive, negative, threshold):
    everything = tuple(range(len(w.shape)))

    @custom_gradient
    def call(w, positive, negative):
        above, below = _regions(w, threshold)

        def grad(upstream):
            scale = positive * above + negative * below + (1.0 - above - below)
            of_above, of_below = (ops.reshape(sums.total(upstream * region, everything), ()) for region in (above, below))
            return upstream * scale, of_above, -of_below

        return positive * above - negative * below, grad

    return call(w, positive, negative)
