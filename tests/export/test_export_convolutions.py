"""Convolutions of sequences, depthwise, separable and transposed ones: the packed network, the engine and the way back."""

import numpy as np
import pytest

import tfq
from tfq import export
from tfq.backend.keras import keras
from tfq.convert.from_keras import from_keras
from tfq.convert.to_keras import to_keras
from tfq.graph import nodes as g
from tfq.graph import reference
from tfq.layers import (
    QuantConv1D,
    QuantConv1DTranspose,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantConv3DTranspose,
    QuantDepthwiseConv1D,
    QuantDepthwiseConv2D,
    QuantSeparableConv1D,
    QuantSeparableConv2D,
)
from tfq.quantizers import DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights

pytest.importorskip("numba", reason="needs tfq[runtime]")

L = keras.layers
QUANTIZERS = {
    "xnor": (XnorInputs(), XnorWeights()),
    "a2w2": (DoReFaInputs(2), DoReFaWeights(2)),
    "ternary": (XnorInputs(), TernaryWeights()),
    "float": (None, None),
}
SEQUENCE, IMAGE = (17, 5), (6, 7, 5)
SEPARABLE = (QuantSeparableConv1D, QuantSeparableConv2D)
# The class, the shape of its inputs, and options; None stands for a layer of Keras where nothing is quantized.
CASES = {
    "sequence": (QuantConv1D, SEQUENCE, {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", "pad_values": 1}),
    "sequence, valid": (QuantConv1D, SEQUENCE, {"filters": 40, "kernel_size": 4, "dilation_rate": 2}),
    "causal": (QuantConv1D, SEQUENCE, {"filters": 6, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    "causal, with -1": (QuantConv1D, SEQUENCE, {"filters": 6, "kernel_size": 3, "padding": "causal", "pad_values": -1}),
    "one cell": (QuantConv1D, SEQUENCE, {"filters": 6, "kernel_size": 1}),
    "depthwise sequence": (QuantDepthwiseConv1D, SEQUENCE, {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}),
    "depthwise": (QuantDepthwiseConv2D, IMAGE, {"kernel_size": 3, "strides": 2, "padding": "same", "pad_values": -1}),
    "separable sequence": (QuantSeparableConv1D, SEQUENCE, {"filters": 6, "kernel_size": 3, "depth_multiplier": 3}),
    "separable": (
        QuantSeparableConv2D,
        IMAGE,
        {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", "pad_values": 1, "activation": "relu"},
    ),
    "separable, valid": (QuantSeparableConv2D, IMAGE, {"filters": 6, "kernel_size": (3, 2), "use_bias": False}),
    "transposed": (QuantConv2DTranspose, IMAGE, {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same"}),
    "transposed, valid": (QuantConv2DTranspose, IMAGE, {"filters": 6, "kernel_size": (2, 3), "strides": (3, 2)}),
    "transposed, dilated": (QuantConv2DTranspose, IMAGE, {"filters": 6, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}),
    "transposed sequence": (QuantConv1DTranspose, SEQUENCE, {"filters": 6, "kernel_size": 4, "strides": 3, "padding": "same"}),
}


def quantized(kind, quantizers, **options):
    """A layer of these quantizers; of Keras itself where there are none, and no padding of tfq's own."""
    inputs, kernels = QUANTIZERS[quantizers]
    if kernels is None and not options.get("pad_values"):
        options.pop("pad_values", None)
        return kind.stock_class()(**options)
    names = ("depthwise_quantizer", "pointwise_quantizer") if kind in SEPARABLE else ("kernel_quantizer",)
    return kind(input_quantizer=inputs, **dict.fromkeys(names, kernels), **options)


def model_of(layer, shape, seed=0):
    keras.utils.set_random_seed(seed)
    x = keras.Input(shape)
    model = keras.Model(x, layer(x))
    randomize(layer)
    return model


def randomize(layer):
    """Biases are not 0."""
    rng = np.random.default_rng(0)
    if getattr(layer, "bias", None) is not None:
        *others, bias = layer.get_weights()
        layer.set_weights([*others, rng.normal(size=bias.shape).astype("float32")])


def values_of(model, images):
    return np.asarray(keras.ops.convert_to_numpy(model(images))) if hasattr(keras, "ops") else model(images).numpy()


def images_for(model, count=3):
    return np.random.default_rng(0).normal(size=(count, *model.inputs[0].shape[1:])).astype("float32")


def assert_close(found, wanted):
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-6 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("quantizers", QUANTIZERS)
@pytest.mark.parametrize("case", CASES)
def test_the_graph_the_engine_and_the_way_back_compute_what_keras_does(case, quantizers):
    kind, shape, options = CASES[case]
    model = model_of(quantized(kind, quantizers, **options), shape)
    images = images_for(model)
    wanted, graph = values_of(model, images), from_keras(model)
    assert_close(reference.run(graph, images), wanted)
    assert_close(tfq.runtime.Engine(graph).predict(images), wanted)
    back = to_keras(graph)
    assert_close(values_of(back, images), wanted)
    if kind not in SEPARABLE:
        assert isinstance(back.layers[1], kind.stock_class())
