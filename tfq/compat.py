"""The one file that knows which Keras and which backend are in use.

`keras` is Keras 3, or tf_keras where `TF_USE_LEGACY_KERAS=1` is set (the same switch TensorFlow itself reads). `ops` is always
`keras.ops`: its functions also work inside tf_keras layers, on TensorFlow.
"""

import contextlib
import functools
import importlib.util
import os

import keras as keras_3
from keras import ops

from tfq import extras, registration

__all__ = [
    "REPEATS_EDGES",
    "SHARED_STATE",
    "UNCAST",
    "accelerators",
    "add_custom_objects",
    "backend",
    "bfloat16_products",
    "custom_gradient",
    "enable_determinism",
    "exact_products",
    "fused_batch_norm",
    "is_legacy",
    "keras",
    "load_model",
    "ops",
    "plain_settings",
    "promote",
    "random_uniform",
    "require",
    "require_installed",
    "sublayers",
    "weight_name",
]

backend = keras_3.backend.backend()
is_legacy = os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True")


def require(module, extra=None):
    """Import an optional module, or say which extra of tfq brings it.

    Args:
        module: dotted name, such as `"sklearn.datasets"`.
        extra: name of the extra; by default the one that is known to bring the module.

    Returns:
        The imported module.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name is None or error.name.split(".")[0] != package:
            raise
        raise ImportError(extras.missing(package, extra=extra)) from error


def require_installed(*modules):
    """Raise ImportError, which names the extra, unless these modules are installed; imports none of them."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ImportError(extras.missing(module))


if is_legacy:
    if backend != "tensorflow":
        raise ImportError(
            f"TF_USE_LEGACY_KERAS=1 asks for tf_keras, which runs on TensorFlow alone, but KERAS_BACKEND is {backend!r}: "
            "unset one of the two"
        )
    keras = require("tf_keras")
else:
    keras = keras_3


def _torch_custom_gradient(function):
    """`tf.custom_gradient` for PyTorch, where Keras hands the upstream gradient over by name."""

    def with_named_upstream(*args):
        output, grad = function(*args)
        return output, lambda *_, upstream: grad(upstream)

    return ops.custom_gradient(with_named_upstream)


if backend == "tensorflow":
    import tensorflow as tf

    # Keras' `convert_to_tensor` leaves its variables as they are here.
    _with_gradient, _read = tf.custom_gradient, tf.convert_to_tensor
elif backend == "torch":
    _with_gradient, _read = _torch_custom_gradient, ops.convert_to_tensor
else:
    _with_gradient, _read = ops.custom_gradient, ops.convert_to_tensor


def custom_gradient(function):
    """`tf.custom_gradient` on any backend: `function` returns a value and a function from the upstream gradient to its own.

    Arguments may be variables. Keras 3's are read here: inside, TensorFlow refuses them, and PyTorch loses their gradient.
    """
    of_tensors = _with_gradient(function)

    @functools.wraps(function)
    def call(*args):
        return of_tensors(*(_read(arg) for arg in args))

    return call


def promote(x, dtype):
    """`x` in the dtype of its product with a tensor of `dtype`: integers become floats, of two floats the wider one is taken."""
    return ops.cast(x, keras_3.backend.result_type(x.dtype, dtype))


# Arguments of `add_weight` for a kernel that must reach its quantizer in full precision under a mixed-precision policy, and for a
# counter that is the same on all replicas of a distribution strategy.
if is_legacy:
    UNCAST = {"experimental_autocast": False}
    SHARED_STATE = {"aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
else:
    UNCAST = {"autocast": False}
    SHARED_STATE = {"aggregation": "only_first_replica"}


# Whether means of windows that reach beyond an image count its edge again (Keras 3.15, with padding="same").
REPEATS_EDGES = backend == "torch"


class _FixedKey(keras_3.random.SeedGenerator):
    """Hands a key that was drawn elsewhere to `keras.random`, which takes integers and seed generators only."""

    def __init__(self, key):
        self.key = key

    def next(self, ordered=True):
        return self.key


def random_uniform(shape, key, minval, maxval):
    """Float32 noise that is a function of `key` (two integers) alone, so that a backward pass can make it.

    Args:
        shape: shape of the result.
        key: integer tensor of shape (2,).
        minval: lowest value, included.
        maxval: upper bound, excluded.
    """
    seed = _FixedKey(ops.cast(key, "uint32") if backend == "jax" else key)
    return keras_3.random.uniform(shape, minval, maxval, dtype="float32", seed=seed)


def fused_batch_norm(x, scale, offset, epsilon):
    """Batch normalization as one op, with batch statistics; None where the backend has no such op.

    Args:
        x: float32, (N, H, W, C).
        scale: gamma, (C,).
        offset: beta, (C,).
        epsilon: added to the variance; at least 1.001e-5 (a smaller one is raised to that by the op).

    Returns:
        The normalized tensor, the batch mean, and the batch variance times M / (M - 1), where M = N * H * W.
    """
    return tf.compat.v1.nn.fused_batch_norm(x, scale, offset, epsilon=epsilon, is_training=True)


if backend != "tensorflow" or is_legacy:  # tf_keras' own layer is fused already
    fused_batch_norm = None


def enable_determinism():
    """Make every op of the backend give the same bits each time, where the backend leaves that to a switch."""
    if backend == "tensorflow":
        tf.config.experimental.enable_op_determinism()
    elif backend == "torch":
        importlib.import_module("torch").use_deterministic_algorithms(True)


# How the factors of float32 products are rounded, as `_rounding` gives it, where they may be and where not.
if backend == "tensorflow":
    _ROUNDED, _EXACT = (True, True), (False, False)  # to bfloat16 on processors, to TF32 on accelerators
elif backend == "jax":
    _ROUNDED, _EXACT = ("bfloat16",), ("highest",)
else:
    _ROUNDED, _EXACT = ("medium", True), ("highest", False)  # in matrix products; to TF32 in convolutions
_ONEDNN_BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"


def bfloat16_products():
    """Context in which the backend may round the factors of float32 products where that is faster.

    To bfloat16 on processors with AVX512_BF16 or AMX (TensorFlow), on TPUs, and in PyTorch's matrix products; otherwise on
    accelerators of NVIDIA to TF32. Other hardware computes as before.
    """
    if backend == "tensorflow":
        # It would round elementwise ops between two products too. Not these, of which quantizers are made: in bfloat16 the
        # levels of gradients are lost, and their noise.
        os.environ.setdefault("TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_INFERLIST_REMOVE", "Mul,RealDiv")
    return _rounded(_ROUNDED)


def exact_products():
    """Context in which products of float32 take all of its 24 bits.

    NVIDIA's accelerators take 11 by default (TF32). A 1-bit network is then another one: most images have a value next to a
    boundary, where the last bits decide a sign.
    """
    return _rounded(_EXACT)


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
        options = tf.config.optimizer.get_experimental_options()
        return options.get(_ONEDNN_BFLOAT16, False), tf.config.experimental.tensor_float_32_execution_enabled()
    if backend == "jax":
        return (importlib.import_module("jax").config.jax_default_matmul_precision,)
    torch = importlib.import_module("torch")
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def _set_rounding(products, tf32=None):
    if backend == "tensorflow":
        tf.config.optimizer.set_experimental_options({_ONEDNN_BFLOAT16: products})
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
    elif backend == "jax":  # for all threads, which JAX's own context does not
        importlib.import_module("jax").config.update("jax_default_matmul_precision", products)
    else:
        torch = importlib.import_module("torch")
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = tf32


@contextlib.contextmanager
def plain_settings(log=None):
    """Context in which Keras has the settings that it comes with, whatever keras.json, its environment and the caller say.

    Float32, channels last, epsilon 1e-7, no limit of epochs and steps: for what tfq itself builds, trains and compares. The
    layers of a user follow the user's settings.

    Args:
        log: takes a line on those that were others.
    """
    settings = _settings()
    before = {name: get() for name, (get, _, _) in settings.items()}
    others = {name: value for name, value in before.items() if _text(value) != _text(settings[name][2])}
    if log is not None and others:
        named = ", ".join(f"{name}={_text(value)}" for name, value in others.items())
        log(f"Keras' settings {named} (of keras.json or the environment) are not used here")
    for name in others:
        settings[name][1](settings[name][2])
    try:
        yield
    finally:
        for name, value in others.items():
            settings[name][1](value)


def _settings():
    """Functions that get and set each global setting of Keras, and the value that it comes with."""
    config = keras_3.config
    found = {
        **_settings_of(config),
        "max_epochs": (config.max_epochs, config.set_max_epochs, None),
        "max_steps_per_epoch": (config.max_steps_per_epoch, config.set_max_steps_per_epoch, None),
        "dtype_policy": (config.dtype_policy, config.set_dtype_policy, "float32"),
    }
    if is_legacy:
        policy = keras.mixed_precision
        found |= {f"tf_keras' {name}": value for name, value in _settings_of(keras.backend).items()}
        found["tf_keras' dtype_policy"] = policy.global_policy, policy.set_global_policy, "float32"
    return found


def _settings_of(module):
    return {
        "floatx": (module.floatx, module.set_floatx, "float32"),
        "image_data_format": (module.image_data_format, module.set_image_data_format, "channels_last"),
        "epsilon": (module.epsilon, module.set_epsilon, 1e-7),
    }


def _text(setting):
    return getattr(setting, "name", None) or str(setting)


def accelerators():
    """Names of the accelerators that the backend computes on, one for each; none where it computes on the processor."""
    if backend == "tensorflow":
        details = tf.config.experimental.get_device_details
        return [details(device).get("device_name", device.name) for device in tf.config.get_visible_devices("GPU")]
    if backend == "jax":
        devices = importlib.import_module("jax").local_devices()
        return [device.device_kind for device in devices if device.platform != "cpu"]
    cuda = importlib.import_module("torch").cuda
    return [cuda.get_device_name(device) for device in range(cuda.device_count())]


def weight_name(variable):
    """Name of a weight within its layer, such as `kernel`; tf_keras puts those of the layers around it in front."""
    return variable.name.split("/")[-1].split(":")[0]


def sublayers(layer):
    """The layers that a layer or model holds directly, in any attribute; `tfq.walk` goes through all of them."""
    return list(layer._flatten_layers(include_self=False, recursive=False))  # neither Keras has a public name for it


_own_objects = {}


def load_model(path):
    """The model that Keras saved in a file, not compiled.

    tf_keras looks up by its class alone what is in a wrapper or an .h5 file. Where larq is imported too, `QuantDense` is larq's.
    """
    try:
        return keras.models.load_model(str(path), compile=False)
    except TypeError:
        if not is_legacy:
            raise
        known = keras.saving.get_custom_objects()
        kept = dict(known)
        known.update(_own_objects)  # a scope does not reach what is in a wrapper
        try:
            return keras.models.load_model(str(path), compile=False)
        finally:
            known.update(kept)


def add_custom_objects(objects):
    """Let the Keras in use find these classes by name when it reads a saved model."""
    _own_objects.update(objects)
    keras.saving.get_custom_objects().update(objects)


registration.register()  # last, since the classes are made of the names above
