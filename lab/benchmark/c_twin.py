"""A float network as int8 TFLite in the words that BakeNN's importer takes, with the same multiplications."""

from pathlib import Path

import numpy as np

from tfq.backend.keras import keras
from tfq.graph import nodes as g

_CALIBRATION = 32


def write(graph: g.Graph, path: Path) -> None:
    """Write the twin of a residual network of 32 x 32 images.

    The importer refuses MUL, MEAN and a batch of any size. So a scale and shift is a depthwise convolution of one tap with bias,
    the global pool an average over its size, and the last product of matrices a convolution of one tap.

    Raises:
        TypeError: an operation is none of those of the residual networks.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2 as frozen

    model = _keras(graph)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((_CALIBRATION, 1, *graph.input_shape)).astype(np.float32)
    function = tf.function(model).get_concrete_function(tf.TensorSpec((1, *graph.input_shape), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen(function)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())


def _keras(graph):
    inputs = keras.Input(graph.input_shape, batch_size=1)
    tensors = {g.INPUT: inputs}
    for node in graph.nodes:
        tensors[node.name] = _applied(node, [tensors[name] for name in node.inputs])
    return keras.Model(inputs, tensors[graph.nodes[-1].name])


def _applied(node, x):
    layers = keras.layers
    if isinstance(node, g.Conv2D):
        layer = layers.Conv2D(node.kernel.shape[-1], node.kernel.shape[:2], node.strides, node.padding, use_bias=False)
        return _given(layer, x[0], node.kernel.values)
    if isinstance(node, g.ScaleShift):
        return _given(layers.DepthwiseConv2D(1), x[0], node.scale.reshape(1, 1, -1, 1), node.shift)
    if isinstance(node, g.ReLU):
        return layers.ReLU()(x[0])
    if isinstance(node, g.Add):
        return layers.Add()(x)
    if isinstance(node, g.GlobalAveragePool):
        return layers.AveragePooling2D(x[0].shape[1:3])(x[0])
    if isinstance(node, g.Dense):
        bias = np.zeros(node.kernel.shape[-1]) if node.bias is None else node.bias
        return _given(layers.Conv2D(node.kernel.shape[-1], 1), x[0], node.kernel.values[None, None], bias)
    raise TypeError(f"the twin has no {type(node).__name__} ({node.name!r})")


def _given(layer, x, *weights):
    y = layer(x)
    layer.set_weights([np.asarray(values, np.float32) for values in weights])
    return y
