"""Gradients on any backend."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfq.backend.keras import backend, ops
from tfq.optional import require


def gradient(function: Callable, x: Any, upstream: Any) -> np.ndarray:
    """The gradient of the sum of upstream * function(x) for `x`, float32."""
    x, upstream = ops.convert_to_tensor(x), ops.convert_to_tensor(upstream)
    if backend == "tensorflow":
        tape = require("tensorflow").GradientTape()
        with tape:
            tape.watch(x)
            value = function(x)
        found = tape.gradient(value, x, output_gradients=upstream)
    elif backend == "jax":
        (found,) = require("jax").vjp(function, x)[1](upstream)
    elif backend == "torch":
        x = x.clone().requires_grad_(True)
        (found,) = require("torch").autograd.grad(function(x), x, upstream)
    else:
        raise ValueError(f"gradients are known on tensorflow, jax and torch; got {backend!r}")
    return np.zeros(x.shape, np.float32) if found is None else ops.convert_to_numpy(found)
