"""BitNet b1.58 (arXiv:2402.17764): absmean ternary weights and absmax activations, in NumPy."""

import numpy as np
import pytest
from conftest import array, compiled, gradient, tensor

from tfq.quantizers import BitNetInputs, BitNetWeights

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(3, 3, 5, 7), (45, 7)])
def test_weights(shape):
    w = RNG.normal(size=shape).astype("float32")
    gamma = np.abs(w.astype("float64")).mean()
    expected = gamma * np.clip(np.rint(w / gamma), -1, 1)
    for quantize in (BitNetWeights(), compiled(BitNetWeights())):
        np.testing.assert_allclose(array(quantize(tensor(w))), expected, rtol=2e-6)
    g = RNG.normal(size=shape).astype("float32")
    np.testing.assert_array_equal(gradient(BitNetWeights(), w, g), g)


def test_values_worked_by_hand():
    w = np.float32([[4, -2, 1, -1]])  # gamma 2: 1 and -1 are ties, which go to 0
    np.testing.assert_array_equal(array(BitNetWeights()(tensor(w))), [[2, -2, 0, 0]])


def test_weights_smaller_than_the_smallest_scale_vanish():
    assert not array(BitNetWeights()(tensor(np.full((3, 2), 1e-6)))).any()
    assert not array(BitNetWeights()(tensor(np.zeros((3, 2))))).any()


@pytest.mark.parametrize("shape", [(4, 9, 16), (6, 5, 5, 3), (4, 8)])
def test_inputs(shape):
    x = (RNG.normal(size=shape) * 10.0 ** RNG.integers(-3, 3, (*shape[:-1], 1))).astype("float32")
    step = np.abs(x.astype("float64")).max(axis=-1, keepdims=True) / 127
    found = array(BitNetInputs()(tensor(x)))
    np.testing.assert_allclose(found / step, np.rint(x / step), atol=1e-4)
    np.testing.assert_allclose(np.abs(found).max(axis=-1), 127 * step[..., 0], rtol=1e-6)
    g = RNG.normal(size=shape).astype("float32")
    np.testing.assert_array_equal(gradient(BitNetInputs(), x, g), g)


def test_a_token_by_itself():
    np.testing.assert_allclose(
        array(BitNetInputs()(tensor([[127.0, 63.4, -1.6], [0, 0, 0]]))), [[127, 63, -2], [0, 0, 0]], rtol=1e-6
    )
