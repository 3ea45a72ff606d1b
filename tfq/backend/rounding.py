"""How the factors of products in float32 are rounded, on any backend."""

import contextlib
import functools
import os
from collections.abc import Iterator

from tfq.backend.devices import accelerators
from tfq.backend.keras import backend
from tfq.optional import require

__all__ = ["are_rewritten", "bfloat16_products", "exact_products"]

# How the factors of float32 products are rounded, as `_rounding` gives it, where they may be and where not.
_ROUNDED: tuple
_EXACT: tuple
if backend == "tensorflow":
    _ROUNDED, _EXACT = (True, True), (False, False)  # to bfloat16 on processors, to TF32 on accelerators
elif backend == "jax":
    _ROUNDED, _EXACT = ("bfloat16",), ("highest",)
else:
    _ROUNDED, _EXACT = ("medium", True), ("highest", False)  # in matrix products; to TF32 in convolutions
_ONEDNN_BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"


@contextlib.contextmanager
def bfloat16_products() -> Iterator[None]:
    """Context in which the backend may round the factors of float32 products where that is faster.

    To bfloat16 on processors with AVX512_BF16 or AMX (TensorFlow), on TPUs, and in PyTorch's matrix products; otherwise on
    accelerators of NVIDIA to TF32. Other hardware computes as before.
    """
    if backend == "tensorflow":
        # It would round elementwise ops between two products too. Not these, of which quantizers are made: in bfloat16 the
        # levels of gradients are lost, and their noise.
        os.environ.setdefault("TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_INFERLIST_REMOVE", "Mul,RealDiv")
    with _rounded(_ROUNDED):
        yield


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Context in which products of float32 take all of its 24 bits.

    NVIDIA's accelerators take 11 by default (TF32). A 1-bit network is then another one: most images have a value next to a
    boundary, where the last bits decide a sign.
    """
    with _rounded(_EXACT):
        yield


def are_rewritten() -> bool:
    """Whether TensorFlow will rewrite the graph that is made now: its products, and what lies between them, in bfloat16.

    It does so on processors with AVX512_BF16 or AMX, inside of `bfloat16_products`.
    """
    if backend != "tensorflow" or require("tensorflow").executing_eagerly() or accelerators():
        return False
    return _rounding() == _ROUNDED and _rewrites()


@functools.cache
def _rewrites():
    """Whether this processor lets TensorFlow do it: tried, as no function of TensorFlow's tells."""
    tf = require("tensorflow")
    operand = 1 + 2.0**-12  # 1 in bfloat16
    with tf.init_scope(), _rounded(_ROUNDED):
        product = tf.function(tf.matmul, autograph=False)
        return float(product(tf.fill((1, 1), operand), tf.ones((1, 1)))[0, 0]) == 1


@contextlib.contextmanager
def _rounded(rounding):
    before = _rounding()
    _set_rounding(*rounding)
    try:
        yield
    finally:
        _set_rounding(*before)


def _rounding():
    if backend == "tensorflow":
        options = require("tensorflow").config.optimizer.get_experimental_options()
        return options.get(_ONEDNN_BFLOAT16, False), require("tensorflow").config.experimental.tensor_float_32_execution_enabled()
    if backend == "jax":
        return (require("jax").config.jax_default_matmul_precision,)
    torch = require("torch")
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def _set_rounding(products, tf32=None):
    if backend == "tensorflow":
        require("tensorflow").config.optimizer.set_experimental_options({_ONEDNN_BFLOAT16: products})
        require("tensorflow").config.experimental.enable_tensor_float_32_execution(tf32)
    elif backend == "jax":  # for all threads, which JAX's own context does not
        require("jax").config.update("jax_default_matmul_precision", products)
    else:
        torch = require("torch")
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = tf32
