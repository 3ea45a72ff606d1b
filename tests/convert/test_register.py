"""Layers and operations from outside the package, to a `.tfq` file and back."""

from dataclasses import dataclass

import numpy as np
import pytest

import tfq.convert
from tfq.backend.keras import keras, ops
from tfq.convert import layers as table
from tfq.convert import to_keras
from tfq.convert.from_keras import from_keras
from tfq.graph import Node, check, file, nodes, operations, reference, register_operation
from tfq.layers import QuantDense, QuantizedLayer
from tfq.quantizers import TernaryWeights, XnorInputs

X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


@dataclass(frozen=True)
class Power(Node):
    """x^exponent."""

    exponent: float = 2.0

    def infer(self, shapes):
        return check.one(self, shapes)

    def compute(self, x):
        return x**self.exponent


class ToThePower(keras.layers.Layer):
    def __init__(self, exponent, **kwargs):
        super().__init__(**kwargs)
        self.exponent = exponent

    def call(self, inputs):
        return inputs**self.exponent

    def compute_output_shape(self, input_shape):
        return input_shape


class Product(QuantizedLayer, keras.layers.Layer):
    """A quantized layer that is none of Keras'; in a file it is a dense one."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 4), initializer="glorot_uniform")
        super().build(input_shape)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)

    def quantized_op(self, inputs, kernel):
        return ops.matmul(inputs, kernel)


@pytest.fixture
def tables(monkeypatch):
    """What is registered here is gone afterwards."""
    monkeypatch.setattr(table, "CONVERTERS", dict(table.CONVERTERS))
    monkeypatch.setattr(to_keras, "_LAYERS", dict(to_keras._LAYERS))


def model():
    x = keras.Input((5,))
    y = Product(input_quantizer=XnorInputs(), kernel_quantizer=TernaryWeights(), name="product")(x)
    return keras.Model(x, ToThePower(3.0, name="cube")(y))


def test_a_layer_and_an_operation_from_outside_go_to_a_file_and_back(tables, monkeypatch, tmp_path):
    for name, value in vars(operations).items():
        if isinstance(value, dict) and not name.startswith("__"):
            monkeypatch.setattr(operations, name, dict(value))
    register_operation(Power)

    @tfq.convert.register_from_keras(ToThePower)
    def power(call):
        return [(Power, {"exponent": call.layer.exponent})]

    @tfq.convert.register_from_keras(Product)
    def product(call):
        return call.product(nodes.Dense)

    @tfq.convert.register_to_keras(Power)
    def to_the_power(node, name):
        return ToThePower(node.exponent, name=name), []

    network, path = model(), tmp_path / "model.tfq"
    file.write(from_keras(network), path)
    expected = network.predict(X, verbose=0)
    np.testing.assert_allclose(reference.run(file.read(path), X), expected, rtol=1e-5)
    again = tfq.load_packed(path)
    assert [type(layer) for layer in again.layers[1:]] == [QuantDense, ToThePower]
    np.testing.assert_allclose(again.predict(X, verbose=0), expected, rtol=1e-5)


def test_what_is_not_registered_is_said(tables):
    with pytest.raises(tfq.convert.Unsupported, match=r"2 layers .* 'product' is a Product, .* 'cube' is a ToThePower"):
        from_keras(model())
    graph = tfq.graph.nodes.Graph((5,), (Power("p", ("input",)),))
    with pytest.raises(TypeError, match=r"operation 'p' is a Power, of which no layer .* see tfq\.convert\.register_to_keras"):
        to_keras.to_keras(graph)


def test_what_cannot_be_registered_is_said(tables):
    with pytest.raises(TypeError, match=r"tfq\.convert\.register_from_keras takes classes of layers; got 'Product'"):
        tfq.convert.register_from_keras("Product")
    with pytest.raises(TypeError, match=r"tfq\.convert\.register_to_keras takes a class of operations; got <class"):
        tfq.convert.register_to_keras(Product)
    with pytest.raises(ValueError, match="QuantDense has a converter already"):
        tfq.convert.register_from_keras(Product, QuantDense)(print)
    with pytest.raises(ValueError, match="Dense has a layer already"):
        tfq.convert.register_to_keras(tfq.graph.nodes.Dense)(print)
