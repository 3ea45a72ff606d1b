"""Signs of a training step on TensorFlow: made in one pass, and, where asked for, kept for the backward pass as bits."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfq.backend.devices import accelerators
from tfq.backend.gradients import custom_gradient
from tfq.backend.keras import Tensor, backend, keras_3
from tfq.backend.rounding import are_rewritten
from tfq.backend.windows import pass_inside
from tfq.backend.xla import compiles, in_one_loop
from tfq.optional import require

__all__ = ["are_fast", "are_kept_as_bits", "keep_bits", "product_of_signs", "sign"]

# Elements of a sample from which on a pass over them costs more than the call of a compiled function.
_MANY = 4096
# Elements whose sign and window share a byte.
_IN_A_BYTE = 4

_kept_as_bits = 0


def are_fast(x: Tensor) -> bool:
    """Whether the functions here serve for signs of `x`: on processors, in TensorFlow's graph mode, where they are many.

    XLA compiles a function for each shape, so all sizes but that of the batch must be known.
    """
    if backend != "tensorflow" or require("tensorflow").executing_eagerly() or accelerators():
        return False
    sizes = tuple(x.shape)[1:]
    if keras_3.backend.standardize_dtype(x.dtype) != "float32" or not sizes or None in sizes:
        return False
    elements = math.prod(sizes)
    return elements >= _MANY and elements % _IN_A_BYTE == 0 and compiles()


@contextlib.contextmanager
def keep_bits() -> Iterator[None]:
    """Context in which convolutions of signs keep bits of their inputs for the backward pass: less memory, a slower step.

        2 bits an element: its sign, and whether |x| <= clip_value,   instead of x and sign(x), 64 bits

    It holds for models whose training step is traced in it, as by their first `fit`. Values and gradients stay. TensorFlow alone
    heeds it, in graph mode on processors, for inputs of at least 4,096 elements an image. JAX keeps neither `x` nor its sign
    behind a batch normalization, and computes both again.

        with tfq.layers.keep_bits():
            model.fit(images, labels)
    """
    global _kept_as_bits
    _kept_as_bits += 1
    try:
        yield
    finally:
        _kept_as_bits -= 1


def are_kept_as_bits() -> bool:
    """Whether `keep_bits` is on."""
    return _kept_as_bits > 0


def sign(x: Tensor, low: float, high: float) -> Tensor:
    """`ste.sign` of `x` where `are_fast`, with a gradient that passes where low <= x <= high.

    TensorFlow's own comparison and selection are two passes, in 1.6 times the time.
    """

    @custom_gradient
    def call(x):
        signs = _signs_in_bfloat16(x) if are_rewritten() else _signs(x)
        return signs, lambda upstream: pass_inside(upstream, x, low, high)

    return call(x)


def _signs_in_bfloat16(x):
    """The same where TensorFlow rewrites the graph in bfloat16, without a cast of `x` or of the signs.

    It cannot rewrite a compiled function, so that takes and gives no float32. The comparison is rewritten. So is `ensure_shape`,
    like the product behind it, and then the cast in front, which is none any more.
    """
    tf = require("tensorflow")
    return tf.ensure_shape(tf.cast(_chosen(x >= 0), x.dtype), x.shape)


def product_of_signs(operation: Callable[..., Tensor], x: Tensor, kernels: Sequence[Any], low: float, high: float) -> Tensor:
    """`operation(sign(x, low, high), *kernels)` where `are_fast`, which keeps two bits an element of `x` for the backward pass.

    They say its sign and whether the gradient passes. Plain operations keep `x` and its signs, 64 bits.

    Args:
        operation: linear in each operand; reads no variables.
        x: the inputs.
        kernels: the other operands.
        low: end of the window.
        high: its other end.
    """
    tf = require("tensorflow")

    @custom_gradient
    def call(x, *kernels):
        bits, shape = _pack(x, low, high), tf.shape(x)

        def grad(upstream):
            # Only then: TensorFlow would unpack them in the forward pass, as soon as they are there.
            with tf.control_dependencies([upstream]):
                signs = tf.ensure_shape(_unpack(bits, shape), x.shape)
            with tf.GradientTape() as tape:
                tape.watch([signs, *kernels])
                outputs = operation(signs, *kernels)  # of it the gradient alone is computed
            by_signs, *by_kernels = tape.gradient(outputs, [signs, *kernels], output_gradients=upstream)
            return _pass_packed(by_signs, bits), *by_kernels

        return operation(_signs(x), *kernels), grad

    return call(x, *kernels)


@in_one_loop
def _signs(x):
    return require("tensorflow").where(x >= 0, 1.0, -1.0)


@in_one_loop
def _chosen(is_positive):
    tf = require("tensorflow")
    return tf.where(is_positive, tf.constant(1, "bfloat16"), tf.constant(-1, "bfloat16"))


@in_one_loop
def _pack(x, low, high):
    """Bytes of four elements each, which lie a quarter of all apart, so that XLA takes neighbours at once."""
    tf = require("tensorflow")
    of_sign, of_window = tf.cast(x >= 0, "uint8"), tf.cast((x >= low) & (x <= high), "uint8")
    first, second, third, fourth = tf.unstack(tf.reshape(of_sign + 2 * of_window, (_IN_A_BYTE, -1)))
    return first + 4 * second + 16 * third + 64 * fourth


@in_one_loop
def _unpack(bits, shape):
    tf = require("tensorflow")
    return tf.where(tf.reshape(_codes(bits) & 1, shape) > 0, 1.0, -1.0)


@in_one_loop
def _pass_packed(upstream, bits):
    tf = require("tensorflow")
    return tf.where(tf.reshape(_codes(bits) & 2, tf.shape(upstream)) > 0, upstream, 0.0)


def _codes(bits):
    tf = require("tensorflow")
    return tf.bitwise.right_shift(bits[None], tf.constant([[0], [2], [4], [6]], "uint8"))
