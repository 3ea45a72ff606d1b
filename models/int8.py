"""tfmot's 8-bit quantization-aware training of the float network: the baseline to beat. For tf_keras."""

from tfq.backend.keras import is_legacy, keras
from tfq.optional import require


def quantize(model):
    """The float `model` with tfmot's default 8-bit scheme: fake-quantized weights and activations.

    The weights of `model` are taken over, `model` itself stays as it is. The default scheme takes a batch normalization only
    as part of the convolution in front of it. Any other, as in a pre-activation network, is annotated with a configuration of
    its own: its output is quantized as the scheme quantizes other activations (8 bits, moving average of the range), behind
    the ReLU where one follows; its own weights stay in float.

    Args:
        model: a functional model of tf_keras' stock layers.

    Raises:
        ImportError: tfmot is not installed, or this is not tf_keras.
    """
    if not is_legacy:
        raise ImportError("method 'int8' is tfmot's, which knows tf_keras alone: set TF_USE_LEGACY_KERAS=1 (--backend=tf_keras)")
    tfmot = require("tensorflow_model_optimization").quantization.keras

    def annotate(layer):
        if isinstance(layer, keras.layers.InputLayer):
            return layer
        if isinstance(layer, keras.layers.BatchNormalization) and not _folds(layer):
            return tfmot.quantize_annotate_layer(layer, _stand_alone_config(layer))
        return tfmot.quantize_annotate_layer(layer)

    with reading():
        return tfmot.quantize_apply(keras.models.clone_model(model, clone_function=annotate))


def reading():
    """Context in which Keras can read a quantized model back from `.h5`.

    Raises:
        ImportError: tfmot is not installed.
    """
    return require("tensorflow_model_optimization").quantization.keras.quantize_scope()


def _folds(batch_norm):
    """Whether it is the one consumer of a convolution, so that the scheme can make it part of that."""
    source = batch_norm.inbound_nodes[0].inbound_layers
    return isinstance(source, keras.layers.Conv2D) and len(source.outbound_nodes) == 1


def _stand_alone_config(batch_norm):
    """What to quantize of a batch normalization without a convolution in front of it.

    Nothing where a ReLU follows, whose output is quantized: the scheme does the same to an addition in front of a ReLU, since
    TFLite computes the two as one, and the range is spent on what passes.
    """
    configs = require("tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantize_configs")
    consumers = [node.outbound_layer for node in batch_norm.outbound_nodes]
    only_relu = len(consumers) == 1 and isinstance(consumers[0], keras.layers.ReLU)
    return configs.NoOpQuantizeConfig() if only_relu else configs.Default8BitOutputQuantizeConfig()
