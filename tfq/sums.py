"""Sums and means over kernels, as exact on every path of every backend as float32 is, whatever their type and size.

A backend may add one term after another: XLA does so on CPUs, and TensorFlow along the first axis. In float32 the mean of
millions of weights is then 0.1 % off and more; in float16 a sum ends at 65,504. Hence at least float32, and long sums in parts.
"""

import math
from collections.abc import Sequence

from tfq.backend.gradients import promote
from tfq.backend.keras import Tensor, ops

# So many equal terms, one after another, lose up to 6e-5 of their sum, and random ones 1e-6.
_MOST = 2048


def total(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Sum over `axes`, which stay with length 1; in float32 or wider.

    Args:
        x: tensor; where its shape is not known along the axes, the sum is the backend's own.
        axes: in ascending order, from 0.
    """
    x = promote(x, "float32")
    if _terms(x, axes) <= _MOST:
        return ops.sum(x, axis=axes, keepdims=True)
    if len(axes) > 1:
        part, axes = total(x, axes[:-1]), axes[-1:]
    else:
        part = _parts(x, *axes)
    # The factors round nothing. Without them XLA makes one sum of the two.
    return 2.0 * total(0.5 * part, axes)


def mean(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Mean over `axes`, likewise."""
    x = promote(x, "float32")
    terms = _terms(x, axes)
    if terms <= _MOST:
        # Not a quotient, of which TensorFlow's graph optimizer makes a product: its last bit would differ from the eager one.
        return ops.mean(x, axis=axes, keepdims=True)
    return mean(mean(x, axes[:-1]), axes[-1:]) if len(axes) > 1 else total(x, axes) / terms


def _terms(x, axes):
    """How many there are; 0 where that is not known."""
    return math.prod(x.shape[axis] or 0 for axis in axes)


def _parts(x, axis):
    """Sums of so many neighbours along an axis as make one sum."""
    parts = -(-x.shape[axis] // _MOST)
    x = ops.pad(x, [(0, parts * _MOST - length if i == axis else 0) for i, length in enumerate(x.shape)])
    return ops.sum(ops.reshape(x, (*x.shape[:axis], parts, _MOST, *x.shape[axis + 1 :])), axis=axis + 1)
