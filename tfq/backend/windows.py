"""The window of a clipped straight-through estimator, in as few passes over memory as a backend can."""

import math
from typing import Any

from tfq.backend.devices import accelerators
from tfq.backend.keras import Tensor, backend, keras_3, ops
from tfq.backend.rounding import are_rewritten
from tfq.optional import require

__all__ = ["pass_inside"]

# Twice as much would overflow float32.
_LARGEST = 1e38
# Beneath, numbers may be flushed to 0.
_SMALLEST = 1e-37
_DERIVATIVE = "TfqPassInside"


def pass_inside(upstream: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    """`upstream` where low <= x <= high, else 0 (so where x is NaN), whatever `upstream` is there."""
    if _has_halves(upstream, x, low, high):
        return _selected_in_bfloat16(upstream, x, low, high)
    if backend == "tensorflow" and _has_one_pass(upstream, x, low, high):
        return _in_place(upstream, x, low, high)
    return _selected(upstream, x, low, high)


def _selected(upstream, x, low, high):
    # A scalar 0, not zeros_like, nor a product with the window: the fastest of these on TensorFlow (3 % of a training step).
    return ops.where(ops.logical_and(x >= low, x <= high), upstream, 0.0)


def _has_halves(upstream, x, low, high):
    """Whether TensorFlow rewrites the selection in bfloat16, in which the ends of the window are the same."""
    return are_rewritten() and _are_of_floats(upstream, x) and all(map(_is_bfloat16, (low, high)))


def _selected_in_bfloat16(upstream, x, low, high):
    """Of operations that TensorFlow rewrites: those of the single pass below would need four casts."""
    tf = require("tensorflow")
    inside = abs(x) <= high if low == -high else (x >= low) & (x <= high)
    # In half the time of tf.where, which broadcasts one 0. The cast has a 0 wherever one is taken, and is no constant that stays.
    return tf.raw_ops.Select(condition=inside, x=upstream, y=tf.cast(inside, upstream.dtype))


def _is_bfloat16(number):
    """Whether bfloat16 holds it, with 8 significant bits and the exponents of float32, as a normal number or 0."""
    return number == 0 or (_SMALLEST < abs(number) < _LARGEST and (math.frexp(number)[0] * 2**8).is_integer())


def _are_of_floats(*operands):
    return all(keras_3.backend.standardize_dtype(operand.dtype) == "float32" for operand in operands)


def _has_one_pass(upstream, x, low, high):
    around_0 = low in (0, -high) and 0 < high < _LARGEST
    return _are_of_floats(upstream, x) and around_0 and not require("tensorflow").executing_eagerly() and not accelerators()


def _in_place(upstream, x, low, high):
    """On processors: one pass over a finite gradient, in its own memory, where the selection takes four, and new memory.

    The op of that pass multiplies by the window. So it may not where the gradient is not finite; then its sum is not either.
    """
    tf = require("tensorflow")
    return tf.cond(
        tf.math.is_finite(tf.reduce_sum(upstream)),
        lambda: _multiplied(upstream, x, low, high),
        lambda: _selected(upstream, x, low, high),
    )


def _multiplied(upstream, x, low, high):
    tf = require("tensorflow")
    # With these two options the window is (low, high) exactly, if 0 is one end or the middle.
    options = {"min": low, "max": high, "num_bits": 2, "narrow_range": True}
    with tf.compat.v1.get_default_graph().gradient_override_map({"FakeQuantWithMinMaxArgsGradient": _DERIVATIVE}):
        return tf.raw_ops.FakeQuantWithMinMaxArgsGradient(gradients=upstream, inputs=x, **options)


def _derivative(op: Any, upstream: Tensor) -> tuple[Tensor, None]:
    """Of the op above, for gradients of gradients: TensorFlow takes it for a constant."""
    return _in_place(upstream, op.inputs[1], op.get_attr("min"), op.get_attr("max")), None


if backend == "tensorflow":
    require("tensorflow").RegisterGradient(_DERIVATIVE)(_derivative)
