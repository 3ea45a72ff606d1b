"""Shared by all tests: which of them apply to the environment at hand, and gradients on any backend."""

import ctypes
import gc
import importlib.util
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # models/ and train.py are not installed

# JAX compiles for half a minute what a test of train.py runs, and in the process of the next test the same again. A folder for
# each worker: what one of them is still writing must not be read by the other.
_COMPILED = ROOT / ".pytest_cache" / f"jax_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import pytest  # noqa: E402

# Keras is imported where it is used: the process that hands the tests out needs none of it, and the others wait for it.
_MARKS = {
    "legacy_only": "needs tf_keras (TF_USE_LEGACY_KERAS=1)",
    "keras3_only": "needs Keras 3",
    "tensorflow_only": "needs TensorFlow",
    "jax_only": "needs JAX",
}

# Modules with tests of many seconds. They come first: the last test of a run leaves the other worker idle.
_LONG = {"test_sweep.py", "test_train.py", "test_configs.py", "test_diagnosis.py", "test_runtime_compiled.py", "test_saving.py"}
_MEMORY = 1.2 * 2**30
# What is in these folders needs no Keras: `make test` runs it once, in processes that do not import it.
_WITHOUT_KERAS = ("c", "cli", "graph", "onnx_models", "runtime")

# On Python 3.13 there are neither larq nor tfmot.
_LEGACY = os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True")
_NEEDS_LARQ = ["quantizers/test_larq.py", "larq_api/test_larq_names.py", "larq_api/test_quantizers_against_larq.py"]
collect_ignore = [] if _LEGACY and importlib.util.find_spec("larq") else _NEEDS_LARQ
if _LEGACY and importlib.util.find_spec("tensorflow_model_optimization") is None:
    collect_ignore.append("models/test_int8.py")


def pytest_configure(config):
    for name, meaning in _MARKS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}; deselected elsewhere")


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: item.path.name not in _LONG)
    config.without_keras = all(item.path.parent.name in _WITHOUT_KERAS for item in items)
    if config.without_keras:  # whose marks say that once is enough, which is now
        return
    from tfq.backend.keras import backend, is_legacy

    applies = {
        "legacy_only": is_legacy,
        "keras3_only": not is_legacy,
        "tensorflow_only": backend == "tensorflow",
        "jax_only": backend == "jax",
    }
    foreign = {name for name in _MARKS if not applies[name]}
    deselected = [item for item in items if foreign & {mark.name for mark in item.iter_markers()}]
    items[:] = [item for item in items if item not in deselected]
    if deselected:
        config.hook.pytest_deselected(items=deselected)


@pytest.fixture(scope="module", autouse=True)
def _keras_stays_out(request):
    yield
    loaded = {"keras", "tf_keras", "tensorflow", "jax"} & set(sys.modules)
    assert not (request.config.without_keras and loaded), f"what needs no Keras has imported {', '.join(sorted(loaded))}"


@pytest.fixture(scope="session")
def gcc():
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    return "gcc"


_left = 0


@pytest.fixture(autouse=True)
def _memory():
    """What models leave behind goes, once it is much: graphs and what was compiled of them."""
    global _left
    yield
    process = psutil.Process()
    # What cannot be freed is not looked through after each test.
    if process.memory_info().rss < max(_MEMORY, _left + _MEMORY / 8):
        return
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
    if sys.platform == "linux":  # whose C library keeps what was freed
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    _left = process.memory_info().rss


def tensor(x, dtype="float32"):
    from tfq.backend.keras import ops

    x = np.asarray(x)
    return ops.convert_to_tensor(x if dtype == "int32" else x.astype("float32"), dtype=dtype)


def array(x):
    """NumPy copy of a tensor; bfloat16 becomes float32, which holds all its values."""
    from tfq.backend.keras import ops

    return ops.convert_to_numpy(ops.cast(x, "float32") if "bfloat16" in str(x.dtype) else x)


def vjp(function, primals, upstream):
    """The value of `function(*primals)` and the gradients, for each primal, of <upstream, value>; tensors in and out."""
    from tfq.backend.keras import backend, ops

    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(primals)
            value = function(*primals)
        return value, tape.gradient(value, primals, output_gradients=tf.cast(upstream, value.dtype))
    if backend == "jax":
        import jax

        value, pullback = jax.vjp(function, *primals)
        return value, list(pullback(ops.cast(upstream, value.dtype)))
    import torch

    primals = [primal.detach().clone().requires_grad_(True) for primal in primals]
    value = function(*primals)
    return value.detach(), list(torch.autograd.grad(value, primals, upstream.to(value.dtype)))


def gradient(function, x, upstream=1.0, dtype="float32"):
    """Gradient of <upstream, function(x)> for `x`, as a NumPy array."""
    x = tensor(x, dtype)
    upstream = np.broadcast_to(np.asarray(upstream, "float32"), tuple(function(x).shape))
    return array(vjp(function, [x], tensor(upstream))[1][0])


def compiled(function):
    """`function` as the training step runs it."""
    from tfq.backend.keras import backend

    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function


def layer_vjp(layer, x, upstream, training=True):
    """Outputs of a layer and its gradients for the inputs and for each trainable weight, as NumPy arrays; updates its state."""
    from tfq.backend.keras import backend, keras, ops

    x, upstream = tensor(x), tensor(upstream)
    if backend == "jax":
        variables = layer.trainable_variables + layer.non_trainable_variables

        def function(x, *weights):
            with keras.StatelessScope(state_mapping=list(zip(layer.trainable_variables, weights, strict=True))) as scope:
                return layer(x, training=training), [scope.get_current_value(v) for v in variables]

        weights = [variable.value for variable in layer.trainable_variables]
        value, gradients = vjp(lambda *primals: function(*primals)[0], [x, *weights], upstream)
        for variable, new in zip(variables, function(x, *weights)[1], strict=True):
            if new is not None:
                variable.assign(new)
    elif backend == "tensorflow":
        import tensorflow as tf

        weights = [w if isinstance(w, tf.Variable) else w.value for w in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = layer(x, training=training)
        gradients = tape.gradient(value, [x, *weights], output_gradients=tf.cast(upstream, value.dtype))
    else:
        import torch

        x = x.clone().requires_grad_(True)
        value = layer(x, training=training)
        weights = [variable.value for variable in layer.trainable_variables]
        gradients = torch.autograd.grad(value, [x, *weights], upstream.to(value.dtype))
    return array(ops.stop_gradient(value)), [array(g) for g in gradients]
