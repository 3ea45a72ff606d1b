"""Layers and models of one's own, which have no graph of layers, and sizes that are not known: what is counted."""

import numpy as np
import pytest

import tfq
from tfq.backend.keras import is_legacy, keras
from tfq.layers import QuantActivation, QuantConv2D, QuantDense
from tfq.quantizers import DoReFaInputs, LSQWeights, XnorInputs, XnorWeights
from tfq.summary import summarize

L = keras.layers
BITS = {"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights()}
BETWEEN = "what it computes between its layers, each of which is counted once"


class Block(L.Layer):
    """A convolution, a batch normalization, and a sum with a matrix of its own."""

    def __init__(self, **options):
        super().__init__(**options)
        self.convolution = QuantConv2D(4, 3, padding="same", use_bias=False, **BITS)
        self.normalization = L.BatchNormalization()

    def build(self, shape):
        self.convolution.build(shape)
        self.normalization.build(shape)
        self.scale = self.add_weight(name="scale", shape=(4, 4), initializer="ones")
        super().build(shape)

    def call(self, inputs):
        return self.normalization(self.convolution(inputs)) + inputs


class Network(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.first = L.Conv2D(4, 3, use_bias=False)
        self.blocks = [Block(), Block()]
        self.backbone = keras.Sequential([keras.Input((6, 6, 4)), L.MaxPooling2D(), L.Flatten()])
        self.active = QuantActivation(DoReFaInputs(2))
        self.head = QuantDense(5, kernel_quantizer=LSQWeights(4))

    def call(self, inputs):
        x = self.first(inputs)
        for block in self.blocks:
            x = block(x)
        return self.head(self.active(self.backbone(x)))


@pytest.fixture(scope="module")
def network():
    model = Network(name="network")
    model(np.zeros((2, 8, 8, 3), "float32"))
    return model


def test_the_layers_of_a_subclassed_model_are_counted(network):
    summary = summarize(network)
    macs = {cost.name: cost.macs for cost in summary.layers if cost.macs}
    convolution = 6 * 6 * 4 * 3 * 3 * 4
    assert macs == {
        "first": 6 * 6 * 4 * 3 * 3 * 3,
        "blocks/0/convolution": convolution,
        "blocks/1/convolution": convolution,
        "head": 5 * 36,
    }
    assert summary.macs == {(1, 1): 2 * convolution, (32, 4): 5 * 36, (32, 32): 3888}
    assert summary.params == network.count_params()
    assert summary.params_by_bits == {1: 2 * 144, 4: 180, 32: network.count_params() - 2 * 144 - 180}
    assert [cost.name for cost in summary.layers if cost.kind == "pooling"] == [
        f"backbone/{network.backbone.layers[0].name}",
    ]


def test_what_a_subclassed_model_leaves_out_is_said(network):
    summary = summarize(network)
    assert summary.uncounted == ("blocks/0", "blocks/1", "network")
    assert {cost.left_out for cost in summary.layers if not cost.counted} == {BETWEEN}
    assert str(summary).splitlines()[-1] == f"not counted    blocks/0, blocks/1, network: {BETWEEN}"
    assert {cost.name: cost.params for cost in summary.layers}["blocks/0"] == 16  # its own weight


def test_a_layer_of_layers_in_a_functional_model_is_entered():
    x = keras.Input((6, 6, 4))
    block = Block(name="block")
    model = keras.Model(x, block(block(x)))
    summary = summarize(model)
    rows = [(cost.name, cost.macs, cost.params) for cost in summary.layers]
    convolution = 6 * 6 * 4 * 3 * 3 * 4
    assert rows == [
        ("block/convolution", convolution, 144),
        ("block/normalization", 0, 16),
        ("block", 0, 16),
        ("block/convolution", convolution, 0),  # called again
        ("block/normalization", 0, 0),
        ("block", 0, 0),
    ]
    assert summary.uncounted == ("block", "block")


def test_attention_is_left_out_but_for_its_dense_layers():
    x = keras.Input((5, 8))
    summary = summarize(keras.Model(x, L.MultiHeadAttention(2, 4, use_bias=False, name="attention")(x, x)))
    # Keras 3 does not know the length of what the last of the four takes.
    left = () if is_legacy else ("attention/output_dense",)
    assert summary.uncounted == (*left, "attention")
    assert summary.total_macs == (4 - len(left)) * 5 * 8 * 8
    assert summary.params == 4 * 64


def test_sizes_that_are_not_known():
    x = keras.Input((None, None, 3))
    y = L.Conv2D(4, 3, name="first", use_bias=False)(x)
    y = L.GlobalAveragePooling2D(name="pooled")(L.BatchNormalization(name="normalized")(y))
    summary = summarize(keras.Model(x, L.Dense(2, name="head")(y)))
    assert (summary.params, summary.total_macs) == (3 * 3 * 3 * 4 + 16 + 10, 8)
    assert summary.uncounted == ("first", "normalized", "pooled")
    assert str(summary).endswith("not counted    first, normalized, pooled: a size of its shapes is not known")
    assert "?x?x4" in str(summary)


def test_a_layer_that_no_call_has_built():
    model = Network(name="network")
    model.extra = L.Dense(3)
    model(np.zeros((2, 8, 8, 3), "float32"))
    cost = next(cost for cost in summarize(model).layers if cost.name == "extra")
    assert (cost.macs, cost.params, cost.left_out) == (0, 0, "it is not built")


def test_two_inputs_and_a_nested_model():
    pixels, numbers = keras.Input((8, 8, 3)), keras.Input((5,))
    inner = keras.Sequential([keras.Input((8, 8, 3)), L.Flatten(), QuantDense(4, use_bias=False, **BITS)], name="inner")
    joined = L.Concatenate()([inner(pixels), QuantActivation("xnor_inputs")(numbers)])
    model = keras.Model([pixels, numbers], L.Dense(2, use_bias=False)(joined))
    assert tfq.summary.summarize(model).macs == {(1, 1): 192 * 4, (32, 32): 9 * 2}
