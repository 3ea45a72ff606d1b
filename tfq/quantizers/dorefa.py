"""DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160): weights, activations and gradients of k bits."""

from typing import Any

from tfq import ste, sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.backend.noise import random_uniform
from tfq.backend.windows import pass_inside
from tfq.quantizers import grids, half_precision
from tfq.quantizers.base import (
    FULL_PRECISION,
    GradientQuantizer,
    InputQuantizer,
    KernelQuantizer,
    Quantizer,
    check_bits,
    check_flag,
    check_seed,
    register,
)


class KBits(Quantizer):
    """A quantizer whose number of bits is its first argument; 32 bits switch it off."""

    def __init__(self, bits: int) -> None:
        self.bits = check_bits(bits, type(self).__name__)

    @property
    def is_off(self) -> bool:
        """Whether it has 32 bits."""
        return self.bits == FULL_PRECISION

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"bits": self.bits}


@register
class DoReFaWeights(KBits, KernelQuantizer):
    """Weights of k bits.

        k = 1:  W~ = sign(W) E|W|, the mean over the whole layer;        dC/dW_i := g_i
        k > 1:  W~ = 2 Q_k( tanh(W) / (2 max|tanh(W)|) + 1/2 ) - 1;      dC/dW_i := g_i (1 - tanh(W_i)^2) / max|tanh(W)|

    with Q_k(r) = round((2^k - 1) r) / (2^k - 1), whose gradient is the identity. DoReFa-Net, section 2.3, equations 6 to 9.
    E|W| and, by default, max|tanh(W)| count as constants in the backward pass. Ties round to even. For k > 1 weights that are
    all zero have no scale: they give the upper of the two levels around 0, larq's do too. larq's one bit has no E|W|.
    Half-precision weights are quantized in float32 and cast back.

    Args:
        bits: 1 to 16, or 32 to pass the weights through.
        differentiate_max: let the gradient pass through max|tanh(W)| as well (tensorpack does, larq does not).
    """

    def __init__(self, bits: int, differentiate_max: bool = False) -> None:
        super().__init__(bits)
        self.differentiate_max = check_flag(differentiate_max, type(self).__name__, "differentiate_max")

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1) -> Tensor:
        """Quantize the kernel `x`, of any shape, with one scale for the whole layer."""
        if self.is_off:
            return x
        w = promote(x, "float32")
        quantized = _mean_scaled_sign(w) if self.bits == 1 else soft_clipped_levels(w, self.bits, self.differentiate_max)
        return ops.cast(quantized, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {**super().get_config(), "differentiate_max": self.differentiate_max}

    def grid(self) -> grids.Grid | None:
        """Signs, E|W| their scale; or levels of [-1, 1]."""
        if self.is_off:
            return None
        return grids.Sign() if self.bits == 1 else grids.Levels(self.bits, -1.0, 1.0)


@register
class DoReFaInputs(KBits, InputQuantizer):
    """Activations of k bits in [0, 1].

        q = Q_k(min(max(x, 0), 1)),   dq/dx := [0 <= x <= 1]

    DoReFa-Net, section 2.4, equation 11. The clip replaces a ReLU. Ties round to even, so at one bit 0.5 gives 0. NaN stays
    NaN on TensorFlow and JAX. Half-precision inputs are quantized in float32 and cast back.

    Args:
        bits: 1 to 16, or 32 to pass the activations through.
    """

    is_elementwise = True

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`, of any shape."""
        if self.is_off:
            return x
        return _clipped_levels(x, self.bits)

    def window(self) -> tuple[float, float] | None:
        """Of the clip."""
        return None if self.is_off else (0.0, 1.0)

    def grid(self) -> grids.Grid | None:
        """Levels of [0, 1]."""
        return None if self.is_off else grids.Levels(self.bits, 0.0, 1.0)


@register
class DoReFaGradients(KBits, GradientQuantizer):
    """Gradients of k bits: the identity in the forward pass, a quantizer in the backward pass.

        f(g) = 2 M [ Q_k( g / (2 M) + 1/2 + N ) - 1/2 ],   M = max|g| per sample,   N = s / (2^k - 1),   s ~ U[-1/2, 1/2)

    DoReFa-Net, section 2.5, equation 12. The maximum runs over all axes but the first. The noise is drawn in the backward pass
    from a key that the forward call takes; the argument of Q_k is clipped to [0, 1] against rounding (tensorpack does so too).
    A sample whose gradient is all zero gives exact zeros, NaN gives NaN.

    Args:
        bits: 1 to 16, or 32 to pass the gradients through.
        seed: start of the noise of the layers that use this quantizer (each mixes its name in); None draws one from Python's
            random state, which `keras.utils.set_random_seed` sets.
    """

    def __init__(self, bits: int, seed: int | None = None) -> None:
        super().__init__(bits)
        self.seed = check_seed(seed, type(self).__name__)

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """Return `x`; the gradient that comes back through it is quantized with noise from `key` (two integers)."""
        if self.is_off:
            return x
        return _quantize_gradient(x, self.bits, key)

    def fits(self, dtype: str) -> bool:
        """Whether the levels of any M are still apart when they are cast to `dtype`."""
        half_range = 2 ** (self.bits - 1)
        return self.is_off or half_precision.fits(grids.Integers(-half_range, half_range), dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {**super().get_config(), "seed": self.seed}


@custom_gradient
def _mean_scaled_sign(w):
    return sums.mean(ops.abs(w), tuple(range(len(w.shape)))) * ste.sign(w), lambda upstream: upstream


def soft_clipped_levels(w: Tensor, bits: int, differentiate_max: bool = False) -> Tensor:
    """The rule of `DoReFaWeights` for more than one bit."""

    @custom_gradient
    def call(w):
        t = ops.tanh(w)
        size = ops.abs(t)
        largest = ops.max(size)
        levels = ste.round_to_levels(ops.divide_no_nan(t, 2.0 * largest) + 0.5, bits)

        def grad(upstream):
            by_t = ops.divide_no_nan(2.0 * upstream, 2.0 * largest)
            if differentiate_max:
                # d(t / max) / d max, shared by the elements that attain the maximum.
                at_max = ops.cast(size == largest, w.dtype)
                everything = tuple(range(len(w.shape)))
                by_max = -sums.total(ops.divide_no_nan(by_t * t, largest), everything)
                by_t = by_t + by_max * ops.sign(t) * at_max / sums.total(at_max, everything)
            return by_t * (1.0 - t * t)

        return 2.0 * levels - 1.0, grad

    return call(w)


def _clipped_levels(x, bits):
    @custom_gradient
    def call(x):
        full = promote(x, "float32")
        levels = ops.cast(ste.round_to_levels(ops.clip(full, 0.0, 1.0), bits), x.dtype)
        return levels, lambda upstream: pass_inside(upstream, x, 0, 1)

    return call(x)


def _quantize_gradient(x, bits, key):
    @custom_gradient
    def call(x):
        return x, lambda upstream: _noisy_levels(upstream, bits, key)

    return call(x)


def _noisy_levels(gradient, bits, key):
    n = 2**bits - 1
    g = promote(gradient, "float32")
    largest = ops.max(ops.abs(g), axis=tuple(range(1, len(g.shape))), keepdims=True)
    unit = g / ops.where(largest == 0, 1.0, largest) * 0.5 + 0.5
    noise = ops.cast(random_uniform(ops.shape(g), key, -0.5, 0.5), g.dtype) / n
    levels = ste.round_to_levels(ops.clip(unit + noise, 0.0, 1.0), bits)
    return ops.cast(largest * (2.0 * levels - 1.0), gradient.dtype)
