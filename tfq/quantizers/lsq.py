"""Learned Step Size Quantization (Esser et al. 2020, arXiv:1902.08153): k bits with a step that is trained."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tfq import sums
from tfq.backend.gradients import custom_gradient, promote, read
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids, half_precision
from tfq.quantizers.base import InputQuantizer, KernelQuantizer, register
from tfq.quantizers.dorefa import KBits

# E|x| of a standard normal x, as it comes from batch normalization.
_MEAN_OF_NORMAL = math.sqrt(2 / math.pi)
_SMALLEST = 1e-12


class _Learned(KBits):
    """A quantizer that keeps a step for each layer, in two variables: the value that it started from, and its change since.

    A step is start + change. The first is no trained weight, so that a step of the training can set it on every backend; it is 0
    before. The gradient for the second is that for the step.
    """

    def build(self, add_weight: Callable[..., Any], shape: tuple) -> dict[str, Any]:
        """The step of a layer: where it started (0: not yet), and how far it has moved."""
        if self.is_off:
            return {}
        return {"step_start": add_weight("step_start", trainable=False), "step_change": add_weight("step_change")}

    def observe(self, x: Tensor, step_start: Any, step_change: Any) -> None:
        """Start the step from what comes first: 2 mean |x| / sqrt(Q_p)."""
        started = ops.cond(step_start > 0, lambda: read(step_start), lambda: self._first(x))
        step_start.assign(ops.stop_gradient(started))

    def fits(self, dtype: str) -> bool:
        """Whether the multiples of any step are still apart when they are cast to `dtype`."""
        return self.is_off or half_precision.fits(grids.Integers(*self._limits()), dtype)

    def _first(self, x: Tensor) -> Tensor:
        x = promote(x, "float32")
        # Over all but the batch first, whose size need not be known.
        size = ops.mean(ops.mean(ops.abs(x), axis=tuple(range(1, len(x.shape)))))
        return self._from_mean(ops.cast(size, "float32"))

    def _from_mean(self, size):
        return ops.maximum(2.0 * size / math.sqrt(self._limits()[1]), _SMALLEST)

    def _limits(self) -> tuple[int, int]:
        """-Q_n and Q_p."""
        raise NotImplementedError


@register
class LSQWeights(_Learned, KernelQuantizer):
    """Weights of k bits with a learned step s, one for the layer.

        W~ = s round(clip(W / s, -Q_n, Q_p)),   Q_n = 2^(k-1),   Q_p = 2^(k-1) - 1
        dC/dW_i := g_i [-Q_n < W_i / s < Q_p]
        dC/ds   := sum_i g_i d_i / sqrt(n Q_p),   d = -Q_n or Q_p where clipped, else round(W_i / s) - W_i / s

    LSQ, section 2, equations 1 to 5; section 2.2 for the factor 1 / sqrt(n Q_p), with n weights in the layer. The step starts
    from 2 mean |W| / sqrt(Q_p) (section 2.1) in the first step of the training, so that weights of another run may be loaded
    before; until then it follows the kernel. Ties round to even. Half-precision kernels are quantized in float32 and cast back.

    Args:
        bits: 2 to 16, or 32 to pass the weights through.

    Raises:
        ValueError: another number of bits: one bit has no Q_p.
    """

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        if bits == 1:
            raise ValueError(f"LSQWeights: bits must be an integer from 2 to 16, or 32 (off); got bits={bits!r}")

    def build(self, add_weight: Callable, shape: tuple, channel_axis: int | tuple[int, ...] = -1) -> dict[str, Any]:
        """The step of a layer, one for all of its filters."""
        return super().build(add_weight, shape)

    def __call__(
        self,
        x: Tensor,
        channel_axis: int | tuple[int, ...] = -1,
        step_start: Tensor | None = None,
        step_change: Tensor | None = None,
    ) -> Tensor:
        """Quantize the kernel `x`, with one step for the whole layer."""
        if self.is_off:
            return x
        self.check_state(step_change, "a step")
        w = promote(x, "float32")
        quantized = _quantize(w, self._step(w, step_start, step_change), self._limits(), math.prod(w.shape))
        return ops.cast(quantized, x.dtype)

    def window(self, step_start: Tensor | None = None, step_change: Tensor | None = None) -> None:
        """Not known without the kernel, from which the step may follow."""
        return None

    def grid(self, **state: Tensor) -> grids.Grid | None:
        """Integers; the step is their scale."""
        return None if self.is_off else grids.Integers(*self._limits())

    def encode(
        self,
        kernel: Tensor,
        channel_axis: int | tuple[int, ...] = -1,
        step_start: Tensor | None = None,
        step_change: Tensor | None = None,
    ) -> grids.Codes:
        """The quantized kernel as integers, and the step."""
        w = promote(kernel, "float32")
        step = self._step(w, step_start, step_change)
        codes = ops.convert_to_numpy(_levels(w / step, *self._limits())).astype(np.int64)
        scale = np.asarray(ops.convert_to_numpy(ops.cast(step, "float32"))).reshape((1,) * codes.ndim)
        return grids.Codes(codes, scale, self.grid())  # type: ignore[arg-type]

    def _limits(self):
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1

    def _first(self, x):
        everything = tuple(range(len(x.shape)))
        return ops.cast(self._from_mean(ops.reshape(sums.mean(ops.abs(x), everything), ())), "float32")

    def _step(self, w, step_start, step_change):
        start = ops.cond(step_start > 0, lambda: step_start, lambda: self._first(w))
        return ops.cast(ops.stop_gradient(start) + step_change, w.dtype)


@register
class LSQInputs(_Learned, InputQuantizer):
    """Activations of k bits, from 0 on, with a learned step s, one for the layer.

        q = s round(clip(x / s, 0, Q_p)),   Q_p = 2^k - 1
        dC/dx_i := g_i [0 < x_i / s < Q_p]
        dC/ds   := sum_i g_i d_i / sqrt(n Q_p),   d = 0 or Q_p where clipped, else round(x_i / s) - x_i / s

    LSQ, section 2, equations 1 to 5, unsigned; section 2.2 for the factor, with n features in an image. The clip replaces a ReLU.
    The step starts from 2 mean |x| / sqrt(Q_p) of the first batch of the training; until then it is that of a standard normal x.
    Ties round to even. Half-precision inputs are quantized in float32 and cast back.

    Args:
        bits: 1 to 16, or 32 to pass the activations through.
    """

    def __call__(self, x: Tensor, step_start: Tensor | None = None, step_change: Tensor | None = None) -> Tensor:
        """Quantize `x`, (batch, ...)."""
        if self.is_off:
            return x
        self.check_state(step_change, "a step")
        full = promote(x, "float32")
        features = math.prod(ops.shape(x)[1:])
        quantized = _quantize(full, ops.cast(self._step(step_start, step_change), full.dtype), self._limits(), features)
        return ops.cast(quantized, x.dtype)

    def window(self, **state: Tensor) -> tuple[float, float] | None:
        """From 0 to the highest level."""
        grid = self.grid(**state)
        return None if grid is None else (grid.low, grid.high)

    def grid(self, step_start: Tensor | None = None, step_change: Tensor | None = None) -> grids.Levels | None:
        """Levels from 0 to Q_p steps."""
        if self.is_off or step_change is None:
            return None
        step = float(ops.convert_to_numpy(self._step(step_start, step_change)))
        return grids.Levels(self.bits, 0.0, step * self._limits()[1])

    def _limits(self):
        return 0, 2**self.bits - 1

    def _step(self, step_start, step_change):
        return ops.where(step_start > 0, step_start, self._from_mean(_MEAN_OF_NORMAL)) + step_change


def _levels(ratio, low, high):
    return ops.round(ops.clip(ratio, low, high))


def _quantize(x, step, limits, count):
    low, high = limits
    factor = 1.0 / ops.sqrt(ops.cast(count, step.dtype) * high)

    @custom_gradient
    def call(x, step):
        ratio = x / step
        levels = _levels(ratio, low, high)

        def grad(upstream):
            is_low, is_high = ratio <= low, ratio >= high
            by_x = ops.where(ops.logical_or(is_low, is_high), 0.0, upstream)
            inner = ops.where(is_low, ops.cast(low, x.dtype), ops.where(is_high, ops.cast(high, x.dtype), levels - ratio))
            # Image by image first: a long sum loses bits.
            by_image = ops.sum(upstream * inner, axis=tuple(range(1, len(x.shape))))
            return by_x, factor * ops.sum(by_image)

        return levels * step, grad

    return call(x, step)
