"""Functions that XLA compiles for TensorFlow: one loop over memory of all their operations."""

import functools
from collections.abc import Callable
from typing import Any

from tfq.optional import require

__all__ = ["compiles", "in_one_loop"]


def in_one_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by XLA, once it is called."""

    @functools.cache
    def compiled():
        return require("tensorflow").function(function, jit_compile=True, autograph=False)

    return functools.wraps(function)(lambda *args: compiled()(*args))


@functools.cache
def compiles() -> bool:
    """Whether this TensorFlow compiles for the processor."""
    tf = require("tensorflow")
    with tf.init_scope():
        try:
            return float(tf.function(lambda x: x + 1, jit_compile=True, autograph=False)(tf.zeros(()))) == 1
        except tf.errors.OpError:
            return False
