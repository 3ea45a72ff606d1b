"""Ternary Weight Networks (Li et al. 2016, arXiv:1605.04711): weights from {-alpha, 0, +alpha}."""

from tfq.compat import custom_gradient, ops
from tfq.quantizers.base import Quantizer, register


@register
class TernaryWeights(Quantizer):
    """Ternary weights with a threshold and a scale computed from the latent weights.

        Delta = 0.7 mean |W|
        W~_i  = alpha sign(W_i) if |W_i| > Delta else 0,   alpha = mean of |W_i| over {i : |W_i| > Delta}
        dC/dW_i := g_i

    TWN, section 2.2, equations 3 to 6 (0.7 is the paper's approximation), section 2.3 for the gradient: the identity, on the
    latent weights, which are not clipped. The comparison is strict, so weights that are all zero give zeros; where no weight
    survives, alpha is 0. larq's `ste_tern` has no alpha, counts |W_i| = Delta as a survivor, and clips the gradient.

    Input: a kernel whose last axis is the output channel.

    Args:
        per_filter: compute Delta and alpha for each output channel; by default for the whole layer, as the paper does.
    """

    bits = 2

    def __init__(self, per_filter=False):
        self.per_filter = per_filter

    def __call__(self, x):
        """Quantize the kernel `x`."""
        return _ternarize(x, tuple(range(len(x.shape) - self.per_filter)))

    def get_config(self):
        """Arguments of the constructor, as JSON values."""
        return {"per_filter": self.per_filter}


def _ternarize(w, axes):
    @custom_gradient
    def call(w):
        size = ops.abs(w)
        delta = 0.7 * ops.mean(size, axis=axes, keepdims=True)
        survivors = ops.cast(size > delta, w.dtype)
        count = ops.sum(survivors, axis=axes, keepdims=True)
        alpha = ops.sum(size * survivors, axis=axes, keepdims=True) / ops.maximum(count, 1.0)
        return alpha * survivors * ops.sign(w), lambda upstream: upstream

    return call(w)
