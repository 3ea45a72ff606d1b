"""Gradients of one's own, and the dtype of products, on any backend."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from tfq.backend.keras import Tensor, backend, keras_3, ops
from tfq.optional import require

__all__ = ["custom_gradient", "promote", "read", "untracked"]


def _torch_custom_gradient(function):
    """`tf.custom_gradient` for PyTorch, where Keras hands the upstream gradient over by name."""

    def with_named_upstream(*args):
        output, grad = function(*args)
        return output, lambda *_, upstream: grad(upstream)

    return ops.custom_gradient(with_named_upstream)


if backend == "tensorflow":
    tf = require("tensorflow")
    # A variable of Keras, or a tensor, as a tensor: Keras' `convert_to_tensor` leaves its variables as they are here.
    _with_gradient, read = tf.custom_gradient, tf.convert_to_tensor
elif backend == "torch":
    _with_gradient, read = _torch_custom_gradient, ops.convert_to_tensor
else:
    _with_gradient, read = ops.custom_gradient, ops.convert_to_tensor


def custom_gradient(function: Callable[..., tuple[Tensor, Callable[..., Any]]]) -> Callable[..., Tensor]:
    """`tf.custom_gradient` on any backend: `function` returns a value and a function from the upstream gradient to its own.

    Arguments may be variables. Keras 3's are read here: inside, TensorFlow refuses them, and PyTorch loses their gradient.
    """
    of_tensors = _with_gradient(function)

    @functools.wraps(function)
    def call(*args):
        return of_tensors(*(read(arg) for arg in args))

    return call


def promote(x: Tensor, dtype: str) -> Tensor:
    """`x` in the dtype of its product with a tensor of `dtype`: integers become floats, of two floats the wider one is taken."""
    return ops.cast(x, keras_3.backend.result_type(x.dtype, dtype))


def untracked() -> contextlib.AbstractContextManager[Any]:
    """Context for what needs no gradient: PyTorch keeps nothing of it. The others follow the loss back, and find that out."""
    return require("torch").no_grad() if backend == "torch" else contextlib.nullcontext()
