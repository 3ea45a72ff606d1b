"""Floating-point operations of a model, counted by keras-flops on its TensorFlow graph."""

from tfq.backend.keras import backend, is_legacy, keras
from tfq.optional import require
from tfq.quiet import quiet


def count(model: keras.Model) -> int:
    """FLOPs of one sample at inference; a multiply-accumulate is two.

    Counted on the frozen TensorFlow graph, where quantized operands are floats too: quantization changes neither convolutions
    nor dense layers here, it adds its own operations. `tfq.summary` counts by bit width.

    Args:
        model: built Keras model of which the inputs are known.

    Raises:
        ImportError: TensorFlow or keras-flops is not installed.
        ValueError: the model runs on another backend than TensorFlow.
    """
    require("tensorflow")
    if backend != "tensorflow":
        raise ValueError(f"keras-flops counts on TensorFlow's graph: it needs the tensorflow backend, this run uses {backend}")
    with quiet():
        get_flops = _keras_flops().get_flops
        return int(get_flops(model if is_legacy else _traceable(model)))


def _keras_flops():
    # keras-flops registers a count for AddV2, which TensorFlow has had itself since 2.12 and does not let be registered twice.
    registry = require("tensorflow.python.framework.ops")._stats_registry._registry
    own = registry.pop("AddV2,flops", None)
    try:
        return require("keras_flops")
    finally:
        if own is not None:
            registry.setdefault("AddV2,flops", own)


def _traceable(model):
    """`model` as keras-flops expects one of tf_keras: with inputs whose shape is a `TensorShape`."""
    tf = require("tensorflow")
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]

    class Traceable(keras.Model):
        inputs = property(lambda self: specs)

        def call(self, tensors):
            return model(tensors if len(tensors) > 1 else tensors[0], training=False)

    return Traceable()
