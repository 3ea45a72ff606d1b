"""Multiply-accumulates of each layer: with ones for weights and inputs, every one of them adds 1 to the sum of the outputs."""

import math

import numpy as np
import pytest
from conftest import array

from tfq import layers
from tfq.backend.keras import keras
from tfq.quantizers import TernaryWeights, XnorInputs, XnorWeights
from tfq.summary import layer_costs, summarize

L = keras.layers
BITS = {"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights()}
NAMES = {
    "Conv1D": ((6, 3), {"strides": 2}, (9, 4)),
    "Conv2D": ((6, (3, 2)), {"dilation_rate": 2}, (9, 8, 4)),
    "Conv3D": ((5, 2), {}, (4, 3, 5, 2)),
    "Conv1DTranspose": ((6, 3), {"strides": 2}, (5, 4)),
    "Conv2DTranspose": ((6, 3), {"strides": 2}, (4, 5, 3)),
    "Conv3DTranspose": ((3, 2), {}, (3, 4, 2, 2)),
    "DepthwiseConv1D": ((3,), {"depth_multiplier": 2}, (9, 4)),
    "DepthwiseConv2D": ((3,), {"depth_multiplier": 2}, (9, 8, 4)),
    "Dense": ((7,), {}, (5, 4)),
}
EINSUMS = [
    ("ab,bc->ac", (6,), (4,)),
    ("...x,xy->...y", (6,), (3, 2, 4)),
    ("abc,cde->abde", (None, 3, 2), (5, 4)),
    ("abcd,cde->abe", (None, 6), (5, 3, 2)),
]


def with_ones(layer, shape):
    """The cost of a layer, and the sum of its outputs where its weights and inputs are ones."""
    x = keras.Input(shape)
    model = keras.Model(x, layer(x))
    for weight in layer.weights:
        weight.assign(np.ones(weight.shape, "float32"))
    (cost,) = layer_costs(model)
    return cost, float(array(layer(np.ones((1, *shape), "float32"))).sum())


@pytest.mark.parametrize("name", NAMES)
def test_macs_are_those_that_are_computed(name):
    arguments, options, shape = NAMES[name]
    cost, computed = with_ones(getattr(layers, f"Quant{name}")(*arguments, use_bias=False, **options, **BITS), shape)
    assert cost.macs == computed
    assert cost.macs_by_bits == {(1, 1): cost.macs}
    assert cost.bit_ops == cost.macs
    of_keras, _ = with_ones(getattr(L, name)(*arguments, use_bias=False, **options), shape)
    assert of_keras.macs_by_bits == {(32, 32): cost.macs}
    assert of_keras.bit_ops == 32 * 32 * cost.macs


@pytest.mark.parametrize(("equation", "output", "shape"), EINSUMS)
def test_macs_of_an_einsum(equation, output, shape):
    cost, computed = with_ones(layers.QuantEinsumDense(equation, output, **BITS), shape)
    assert (cost.kind, cost.macs, cost.left_out) == ("dense", computed, None)
    assert cost.macs_by_bits == {(1, 1): computed}


@pytest.mark.parametrize(("name", "shape"), [("SeparableConv1D", (9, 4)), ("SeparableConv2D", (9, 8, 4))])
def test_a_separable_convolution_has_two_products(name, shape):
    quantizers = {"depthwise_quantizer": XnorWeights(), "pointwise_quantizer": TernaryWeights()}
    arguments = {"kernel_size": 3, "depth_multiplier": 2, "use_bias": False}
    layer = getattr(layers, f"Quant{name}")(6, **arguments, input_quantizer=XnorInputs(), **quantizers)
    cost, _ = with_ones(layer, shape)
    depthwise, of_depthwise = with_ones(getattr(L, name.replace("Separable", "Depthwise"))(**arguments), shape)
    pixels = [*depthwise.output_shape]
    pointwise, of_pointwise = with_ones(L.Dense(6, use_bias=False), tuple(pixels))
    assert [product.macs for product in cost.products] == [of_depthwise, of_pointwise]
    # The sums between the two are not quantized.
    assert cost.macs_by_bits == {(1, 1): depthwise.macs, (32, 2): pointwise.macs}
    assert cost.bit_ops == depthwise.macs + 32 * 2 * pointwise.macs
    assert cost.params_by_bits == {1: math.prod([3] * (len(shape) - 1)) * 4 * 2, 2: 8 * 6}
    assert (cost.input_bits, cost.weight_bits, cost.is_quantized) == (1, 2, True)


def test_same_padding_counts_as_if_the_zeros_were_multiplied():
    cost, computed = with_ones(layers.QuantConv2D(6, 3, padding="same", pad_values=1, use_bias=False, **BITS), (5, 5, 4))
    assert cost.macs == computed == 5 * 5 * 6 * 3 * 3 * 4


def test_channels_behind_a_time_axis():
    x = keras.Input((2, 4, 9, 9))
    layer = L.TimeDistributed(L.Conv2D(6, 3, data_format="channels_first", name="inner"))
    try:
        model = keras.Model(x, layer(x))
    except (NotImplementedError, ValueError, RuntimeError) as error:
        pytest.skip(f"this backend has no such convolution: {error}")
    assert summarize(model).total_macs == 2 * 7 * 7 * 6 * 3 * 3 * 4


def test_an_embedding_multiplies_nothing():
    x = keras.Input((5,), dtype="int32")
    summary = summarize(keras.Model(x, L.Embedding(10, 4)(x)))
    assert (summary.total_macs, summary.params, summary.uncounted) == (0, 40, ())
