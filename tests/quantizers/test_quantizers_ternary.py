"""Ternary Weight Networks (arXiv:1605.04711): threshold, scale and gradient of section 2.2 and 2.3, in NumPy."""

import numpy as np
import pytest
from conftest import array, compiled, gradient, tensor

from tfq.quantizers import TernaryWeights


def ternarize(w):
    """Equations 3 to 6 for one group of weights, in float64."""
    delta = 0.7 * np.abs(w).mean()
    survivors = np.abs(w) > delta
    alpha = np.abs(w)[survivors].mean() if survivors.any() else 0
    return alpha * np.where(w > delta, 1, np.where(w < -delta, -1, 0))


@pytest.mark.parametrize("shape", [(3, 3, 5, 7), (45, 7)])
def test_per_layer(shape):
    w = np.random.default_rng(0).normal(size=shape).astype("float32")
    for quantize in (TernaryWeights(), compiled(TernaryWeights())):
        q = array(quantize(tensor(w)))
        # alpha is a float32 mean of some hundred terms.
        np.testing.assert_allclose(q, ternarize(w.astype("float64")), rtol=2e-6)
        assert len(np.unique(q)) == 3


@pytest.mark.parametrize("shape", [(3, 3, 5, 7), (45, 7)])
def test_per_filter(shape):
    scales = 2.0 ** np.arange(7)  # a layer-wide threshold would remove the first filters
    w = (np.random.default_rng(1).normal(size=shape) * scales).astype("float32")
    q = array(compiled(TernaryWeights(per_filter=True))(tensor(w)))
    expected = np.stack([ternarize(w[..., o].astype("float64")) for o in range(7)], -1)
    np.testing.assert_allclose(q, expected, rtol=2e-6)
    assert all(len(np.unique(q[..., o])) == 3 for o in range(7))
    assert (array(TernaryWeights()(tensor(w)))[..., 0] == 0).all()


def test_values_worked_by_hand():
    w = np.float32([[4, -2, 1, -1]])  # mean 2, Delta 1.4, survivors 4 and -2, alpha 3
    np.testing.assert_array_equal(array(TernaryWeights()(tensor(w))), [[3, -3, 0, 0]])


# mean = 1/4, so Delta = fl(0.7) / 4 exactly, which is the first weight.
TIE = np.float32([np.float32(0.7) / 4, 0.75, 0.25 - np.float32(0.7) / 4, 0])


def test_a_weight_at_the_threshold_does_not_survive():
    assert np.float32(0.7) * np.mean(TIE) == TIE[0]
    np.testing.assert_array_equal(array(TernaryWeights()(tensor(TIE))), [0, 0.75, 0, 0])
    np.testing.assert_array_equal(array(TernaryWeights()(tensor(-TIE))), [0, -0.75, 0, 0])


@pytest.mark.parametrize("per_filter", [False, True])
def test_all_zero_weights_stay_zero(per_filter):
    q = array(TernaryWeights(per_filter)(tensor(np.zeros((3, 3, 2, 4)))))
    np.testing.assert_array_equal(q, np.zeros((3, 3, 2, 4)))


def test_one_filter_of_zeros_leaves_the_others_alone():
    q = array(TernaryWeights(per_filter=True)(tensor([[0, 4], [0, -1]])))
    np.testing.assert_array_equal(q, [[0, 4], [0, 0]])


@pytest.mark.parametrize("per_filter", [False, True])
def test_gradient_is_the_identity_everywhere(per_filter):
    generator = np.random.default_rng(2)
    w, g = generator.normal(size=(3, 3, 5, 7)) * 3, generator.normal(size=(3, 3, 5, 7)).astype("float32")
    w[0, 0, 0] = 0
    assert (np.abs(w) > 1).any()
    np.testing.assert_array_equal(gradient(TernaryWeights(per_filter), w, g), g)


def test_bits():
    assert TernaryWeights().bits == 2
