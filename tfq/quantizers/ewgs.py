"""EWGS (Lee et al. 2021, arXiv:2104.00903): k bits between trained bounds, with gradients that know the rounding error."""

import math
from collections.abc import Callable
from typing import Any

from tfq import ste, sums
from tfq.backend.gradients import custom_gradient, promote, read
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, KernelQuantizer, check_number, register
from tfq.quantizers.dorefa import KBits

_SMALLEST = 1e-12
# Deviation of |x| for a standard normal x.
_OF_HALF_NORMAL = math.sqrt(1 - 2 / math.pi)
_NAMES = ("lower", "upper")


class _Bounded(KBits):
    """A quantizer that keeps two bounds for each layer, each as the value that it started from and its change since."""

    def __init__(self, bits: int, delta: float = 1e-3) -> None:
        super().__init__(bits)
        self.delta = check_number(delta, type(self).__name__, "delta", 0)

    def build(self, add_weight: Callable, shape: tuple, channel_axis: int | tuple[int, ...] = -1) -> dict[str, Any]:
        """Where the bounds of a layer started (both 0: not yet), and how far they have moved."""
        if self.is_off:
            return {}
        starts = {f"{name}_start": add_weight(f"{name}_start", trainable=False) for name in _NAMES}
        return {**starts, **{f"{name}_change": add_weight(f"{name}_change") for name in _NAMES}}

    def observe(self, x: Tensor, lower_start: Any, upper_start: Any, **changes: Any) -> None:
        """Start the bounds from what comes first."""
        starts = _started(lower_start, upper_start, lambda: self._first(promote(x, "float32")))
        for variable, value in zip((lower_start, upper_start), starts, strict=True):
            variable.assign(ops.stop_gradient(value))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {**super().get_config(), "delta": self.delta}

    def _first(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The bounds that an operand starts them from."""
        raise NotImplementedError


@register
class EWGSWeights(_Bounded, KernelQuantizer):
    """Weights of k bits in [-1, 1], between trained bounds l and u, one of each for the layer.

        v  = clip((W - l) / (u - l), 0, 1),   q = round((2^k - 1) v) / (2^k - 1)
        W~ = 2 q - 1
        dC/dv_i := h_i (1 + delta sign(h_i) (v_i - q_i)),   h = dC/dq = 2 g,   and through v exactly

    EWGS, section 3. The bounds start from -3 and 3 deviations of the weights in
    the first step of the training; until then they follow the kernel. delta stays as it is: the paper also sets it by the trace
    of the Hessian, which is left out here. So is the trained scale of a layer's results, which batch normalization
    makes up for. Ties round to even. Half-precision kernels are quantized in float32 and cast back.

    Args:
        bits: 1 to 16, or 32 to pass the weights through.
        delta: 0 or more; 0 is the straight-through estimator, 0.001 the authors' fixed one.

    Raises:
        ValueError: another number.
    """

    def __call__(
        self,
        x: Tensor,
        channel_axis: int | tuple[int, ...] = -1,
        lower_start: Tensor | None = None,
        upper_start: Tensor | None = None,
        lower_change: Tensor | None = None,
        upper_change: Tensor | None = None,
    ) -> Tensor:
        """Quantize the kernel `x`, with the same bounds for the whole layer."""
        if self.is_off:
            return x
        self.check_state(lower_change, "bounds")
        w = promote(x, "float32")
        lower, upper = _started(lower_start, upper_start, lambda: self._first(w))
        lower, upper = ops.stop_gradient(lower) + lower_change, ops.stop_gradient(upper) + upper_change
        return ops.cast(2.0 * _levels(w, lower, upper, self.bits, self.delta) - 1.0, x.dtype)

    def grid(self, **state: Tensor) -> grids.Grid | None:
        """Levels of [-1, 1]."""
        if self.is_off:
            return None
        return grids.Sign() if self.bits == 1 else grids.Levels(self.bits, -1.0, 1.0)

    def _first(self, x):
        everything = tuple(range(len(x.shape)))
        centred = x - sums.mean(x, everything)
        deviation = ops.sqrt(sums.total(centred * centred, everything) / max(math.prod(x.shape) - 1, 1))
        upper = ops.maximum(3.0 * ops.cast(ops.reshape(deviation, ()), "float32"), _SMALLEST)
        return -upper, upper


@register
class EWGSInputs(_Bounded, InputQuantizer):
    """Activations of k bits in [0, 1], between trained bounds l and u, one of each for the layer.

        v = clip((x - l) / (u - l), 0, 1),   q = round((2^k - 1) v) / (2^k - 1)
        dC/dv_i := g_i (1 + delta sign(g_i) (v_i - q_i)),   and through v exactly

    EWGS, section 3. The bounds start in the first batch of the training, as in
    the authors' code, of max(x, 0): l from its smallest value, u from 3 deviations over sqrt(1 - 2 / pi), which is 3 for |x| of a
    standard normal x. The authors' networks have a ReLU in front; here the lower bound is one, until it is trained away from 0.
    Until the first batch they are 0 and 3. Ties round to even. Half-precision inputs are quantized in float32 and cast back.

    Args:
        bits: 1 to 16, or 32 to pass the activations through.
        delta: as in `EWGSWeights`.

    Raises:
        ValueError: another number.
    """

    def __call__(
        self,
        x: Tensor,
        lower_start: Tensor | None = None,
        upper_start: Tensor | None = None,
        lower_change: Tensor | None = None,
        upper_change: Tensor | None = None,
    ) -> Tensor:
        """Quantize `x`, (batch, ...)."""
        if self.is_off:
            return x
        self.check_state(lower_change, "bounds")
        lower, upper = self._bounds(lower_start, upper_start, lower_change, upper_change)
        return ops.cast(_levels(promote(x, "float32"), lower, upper, self.bits, self.delta), x.dtype)

    def window(self, **state: Tensor) -> tuple[float, float] | None:
        """From the lower to the upper bound."""
        if not state:
            return None
        lower, upper = self._bounds(**state)
        return _number(lower), _number(upper)

    def grid(self, **state: Tensor) -> grids.Grid | None:
        """Levels of [0, 1]."""
        return None if self.is_off else grids.Levels(self.bits, 0.0, 1.0)

    def affine(self, **state: Tensor) -> tuple[float, float] | None:
        """The bounds go to 0 and 1."""
        if self.is_off:
            return None
        self.check_state(state.get("lower_change"), "bounds")
        lower, upper = map(_number, self._bounds(**state))
        width = max(upper - lower, _SMALLEST)
        return 1 / width, -lower / width

    def _bounds(self, lower_start, upper_start, lower_change, upper_change):
        lower, upper = _started(lower_start, upper_start, lambda: (0.0 * lower_start, 0.0 * upper_start + 3.0))
        return lower + lower_change, upper + upper_change

    def _first(self, x):
        # From the smallest value of a batch normalization's results, a network would lose the ReLU that its float weights know.
        x = ops.relu(x)
        # Over all but the batch first, whose size need not be known.
        others = tuple(range(1, len(x.shape)))
        mean = ops.mean(ops.mean(x, axis=others))
        variance = ops.mean(ops.mean((x - mean) ** 2, axis=others))
        lower = ops.cast(ops.min(x), "float32")
        upper = 3.0 / _OF_HALF_NORMAL * ops.cast(ops.sqrt(variance), "float32")
        return lower, ops.maximum(upper, lower + _SMALLEST)


def _number(x):
    return float(ops.convert_to_numpy(x))


def _started(lower, upper, first):
    """Where the bounds started, or where they would."""
    return ops.cond(read(upper) > read(lower), lambda: (read(lower), read(upper)), first)


def _levels(x, lower, upper, bits, delta):
    @custom_gradient
    def call(x, lower, upper):
        width = ops.maximum(upper - lower, _SMALLEST)
        place = (x - lower) / width
        clipped = ops.clip(place, 0.0, 1.0)
        levels = ste.round_to_levels(clipped, bits)

        def grad(upstream):
            by_clipped = upstream * (1.0 + delta * ops.sign(upstream) * (clipped - levels))
            by_x = by_clipped * ste.inside(place, 0, 1) / width
            # Image by image first: a long sum loses bits.
            others = tuple(range(1, len(x.shape)))
            by_lower, by_upper = (ops.sum(ops.sum(by_x * factor, axis=others)) for factor in (place - 1.0, -place))
            return by_x, by_lower, by_upper

        return levels, grad

    return call(x, ops.cast(lower, x.dtype), ops.cast(upper, x.dtype))
