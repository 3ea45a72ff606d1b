"""Signs and rounding with a straight-through estimator (STE): the step functions that all quantizers are made of.

A step function has derivative 0 almost everywhere. The straight-through estimator replaces it by that of a simple surrogate, so
that the latent (float) tensor behind the step can be trained (Bengio et al. 2013, arXiv:1308.3432; Hubara et al. 2016,
arXiv:1602.02830, section 1.3).
"""

from typing import Any

from tfq.backend.gradients import custom_gradient
from tfq.backend.keras import Tensor, ops
from tfq.backend.windows import pass_inside


def sign(x: Tensor) -> Tensor:
    """Sign that is never 0: +1 for x >= 0 (so for -0.0 too), -1 otherwise.

    NaN gives -1 (larq's sign keeps NaN). TensorFlow and XLA flush subnormal numbers on CPUs: sign(-1e-40) is +1 there.
    It has no gradient of its own; see `ste_sign`.
    """
    # Literal constants: larq-compute-engine recognizes a binarization in this form only.
    return ops.cast(ops.where(x >= 0, 1.0, -1.0), x.dtype)


def heaviside(x: Tensor) -> Tensor:
    """1 where x > 0, else 0 (so for both zeros and NaN), in the dtype of `x`. It has no gradient of its own."""
    return ops.cast(x > 0, x.dtype)


def inside(x: Tensor, low: float, high: float) -> Tensor:
    """1 where low <= x <= high, else 0 (NaN gives 0), in the dtype of `x`: the window of a clipped STE."""
    return ops.cast(ops.logical_and(x >= low, x <= high), x.dtype)


def clipped(upstream: Tensor, x: Tensor, clip_value: float | None) -> Tensor:
    """`upstream` where |x| <= clip_value, else 0 (NaN gives 0), the gradient of a clipped STE; None clips nothing."""
    return upstream if clip_value is None else pass_inside(upstream, x, -clip_value, clip_value)


@custom_gradient
def ste_sign(x: Tensor) -> Any:
    """Sign with the clipped straight-through estimator.

        q = +1 if x >= 0 else -1
        dq/dx := [|x| <= 1]

    XNOR-Net (arXiv:1603.05279), section 3.1; Hubara et al. (arXiv:1602.02830), equation 4. Same shape and dtype as `x`.
    """
    return sign(x), lambda upstream: clipped(upstream, x, 1)


@custom_gradient
def clip_inclusive(x: Tensor) -> Any:
    """Clip to [-1, 1] with gradient 1 on the closed interval, on every backend (they differ at the two ends)."""
    return ops.clip(x, -1.0, 1.0), lambda upstream: clipped(upstream, x, 1)


def round_to_levels(x: Tensor, bits: int) -> Tensor:
    """Nearest of the 2^bits equally spaced levels of [0, 1]: round(n x) / n with n = 2^bits - 1.

    DoReFa (arXiv:1606.06160), equation 5. Ties go to the even level. XLA (so JAX) and TensorFlow's graph optimizer multiply by
    1 / n where this divides by n: their levels differ by a unit in the last place, 0 and 1 do not. No gradient of its own.
    """
    n = 2**bits - 1
    return ops.round(x * n) / n


def straight_through(surrogate: Tensor, value: Tensor) -> Tensor:
    """`value` forward, the gradient of `surrogate` backward: any straight-through estimator, on every backend.

        y = value,   dy/dx := d surrogate / dx

    The value is exact wherever the surrogate is finite, unlike that of surrogate + stop_gradient(value - surrogate).

    Args:
        surrogate: a function of the operand whose gradient is to pass, such as the operand itself, or clipped.
        value: the quantized operand, of its shape and dtype.
    """
    return ops.stop_gradient(value) + (surrogate - ops.stop_gradient(surrogate))
