"""Weights with mean 0 and deviation 1 in each filter."""

import math
from collections.abc import Sequence

from tfq import sums
from tfq.backend.gradients import custom_gradient
from tfq.backend.keras import Tensor, ops


def standardized(w: Tensor, axes: Sequence[int], epsilon: float = 0.0) -> Tensor:
    """Weights without the mean of their filter, over its deviation, both differentiated.

        u = (w - mean w) / s,   s^2 = sum (w - mean w)^2 / (n - 1) + epsilon
        dC/dw_i = (h_i - mean h - u_i sum_j h_j u_j / (n - 1)) / s,   h = dC/du

    n is the number of weights of a filter. A filter of equal weights gives zeros, and gets no gradient if epsilon is 0.

    Args:
        w: float32 kernel.
        axes: those that one filter spans, in ascending order.
        epsilon: is added to the variance.
    """
    degrees = max(math.prod(w.shape[axis] for axis in axes) - 1, 1)

    @custom_gradient
    def call(w):
        centred = w - sums.mean(w, axes)
        deviation = ops.sqrt(sums.total(centred * centred, axes) / degrees + epsilon)
        u = ops.divide_no_nan(centred, deviation)

        def grad(upstream):
            along = sums.total(upstream * u, axes) / degrees
            return ops.divide_no_nan(upstream - sums.mean(upstream, axes) - u * along, deviation)

        return u, grad

    return call(w)
