"""The ternary rule of Keras 3.16, in NumPy; and against `keras.layers.TernaryDense` where Keras has it."""

import numpy as np
import pytest
from conftest import array, gradient, layer_vjp, tensor

from tfq.backend.keras import keras
from tfq.layers import QuantDense
from tfq.quantizers import BitNetWeights, KerasTernaryWeights

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

RNG = np.random.default_rng(0)


def test_values_and_gradient():
    w = RNG.normal(size=(20, 7)).astype("float32")
    w[0] = 0
    g = RNG.normal(size=w.shape).astype("float32")
    exact = w.astype("float64")
    beta = np.abs(exact).mean()
    ternary = np.sign(exact) * (np.abs(exact) > 0.5 * beta)
    np.testing.assert_allclose(array(KerasTernaryWeights()(tensor(w))), beta * ternary, rtol=1e-6)
    expected = beta * g + np.sign(exact) * (ternary * g).mean()
    np.testing.assert_allclose(gradient(KerasTernaryWeights(), w, g), expected, rtol=1e-5, atol=1e-7)


def test_half_of_the_mean_gives_zero():
    w = np.float32([[4, -2, 1, -1]])
    np.testing.assert_array_equal(array(KerasTernaryWeights()(tensor(w))), [[2, -2, 0, 0]])
    assert not array(KerasTernaryWeights()(tensor(np.zeros((3, 2))))).any()


def test_the_values_are_those_of_bitnet():
    w = tensor(RNG.normal(size=(20, 7)))
    np.testing.assert_array_equal(array(KerasTernaryWeights()(w)), array(BitNetWeights()(w)))


@pytest.mark.skipif(not hasattr(keras.layers, "TernaryDense"), reason="Keras 3.16 has it")
def test_outputs_and_gradients_are_those_of_keras():
    own, other = QuantDense(7, kernel_quantizer=KerasTernaryWeights()), keras.layers.TernaryDense(7)
    x, upstream = RNG.normal(size=(5, 20)).astype("float32"), RNG.normal(size=(5, 7)).astype("float32")
    for layer in (own, other):
        layer.build((None, 20))
    own.set_weights(other.get_weights())
    (values, gradients), (expected, expected_gradients) = (layer_vjp(layer, x, upstream) for layer in (own, other))
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
    for found, exact in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)
