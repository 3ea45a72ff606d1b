"""ReCU (arXiv:2103.12369): clamped, standardized signs, their trained scales, and gradients, in NumPy."""

import math

import numpy as np
import pytest
from conftest import array, tensor, vjp

from tfq.layers import QuantConv2D
from tfq.quantizers import ReCUWeights

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

RNG = np.random.default_rng(0)


def tau(progress, low=0.85, high=0.99):
    a = (high - low) / (math.e - 1)
    return a * math.exp(progress) + low - a


def expected(w, alpha, g, progress):
    """Values, gradients for w and alpha, of a kernel (weights, filters), in float64."""
    n = len(w)
    deviation = np.sqrt(w.var(axis=0, ddof=1) + 1e-5) / (2 * math.sqrt(2))
    v = (w - w.mean(axis=0)) / deviation
    highest = -math.log(2 - 2 * tau(progress)) * np.abs(v).mean()
    h = alpha * g * (np.abs(v) <= highest)
    # d deviation / d w_j = v_j / (8 (n - 1))
    jacobian = (np.eye(n)[:, :, None] - 1 / n - v[:, None] * v[None] / (8 * (n - 1))) / deviation
    signs = np.where(v >= 0, 1, -1)
    return alpha * signs, np.einsum("ijf,if->jf", jacobian, h), (g * signs).sum(axis=0), np.mean(np.abs(v) > highest)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_values_and_gradients(progress):
    w = RNG.laplace(0.3, 0.1, size=(3, 3, 4, 6)).astype("float32")
    g = RNG.normal(size=w.shape).astype("float32")
    alpha = RNG.uniform(0.5, 2, 6).astype("float32").reshape(1, 1, 1, 6)
    values, by_w, by_alpha, clamped = expected(*(each.reshape(-1, 6).astype("float64") for each in (w, alpha, g)), progress)
    assert clamped > 0

    def call(w, alpha):
        return ReCUWeights()(w, progress=tensor(progress), alpha=alpha)

    found, gradients = vjp(call, [tensor(w), tensor(alpha)], tensor(g))
    np.testing.assert_allclose(array(found).reshape(36, 6), values, rtol=1e-6)
    np.testing.assert_allclose(array(gradients[0]).reshape(36, 6), by_w, rtol=1e-3, atol=1e-5 * np.abs(by_w).max())
    np.testing.assert_allclose(array(gradients[1]).ravel(), by_alpha, rtol=1e-4, atol=1e-5)


def test_tau_goes_from_its_minimum_to_its_maximum():
    quantizer = ReCUWeights(0.6, 0.9)
    for progress, value in ((0.0, 0.6), (0.5, tau(0.5, 0.6, 0.9)), (1.0, 0.9)):
        assert array(quantizer._tau(tensor(progress), "float32")) == pytest.approx(value, rel=1e-5)


def test_each_filter_has_a_scale():
    layer = QuantConv2D(5, 3, kernel_quantizer=ReCUWeights())
    layer.build((None, 6, 6, 4))
    assert tuple(layer.kernel_arguments["alpha"].shape) == (1, 1, 1, 5)


def test_a_filter_of_equal_weights_stays_finite():
    w = tensor(np.full((4, 2), 0.5))
    value, gradients = vjp(lambda w: ReCUWeights()(w, alpha=tensor(np.ones((1, 2)))), [w], tensor(np.ones((4, 2))))
    assert (array(value) == 1).all()
    assert np.isfinite(array(gradients[0])).all()
