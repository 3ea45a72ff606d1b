"""IR-Net (arXiv:1909.10788): standardized signs, powers of two and the estimator's gradient, in NumPy."""

import numpy as np
import pytest
from conftest import array, gradient, tensor

from tfq.quantizers import IRNetInputs, IRNetWeights

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

RNG = np.random.default_rng(0)


def slope(x, progress):
    t = 0.1 * 100**progress
    return max(1 / t, 1) * t * (1 - np.tanh(t * x) ** 2)


def standardized(w):
    """Of each column, in float64, with the Jacobian by its definition: (u, function from dC/du to dC/dw)."""
    n, centred = len(w), w - w.mean(axis=0)
    deviation = w.std(axis=0, ddof=1)
    u = centred / deviation

    def back(h):
        jacobian = (np.eye(n)[:, :, None] - 1 / n - u[:, None] * u[None] / (n - 1)) / deviation
        return np.einsum("ijf,if->jf", jacobian, h)

    return u, back


@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_weights(progress):
    w = RNG.normal(1.0, 0.2, size=(3, 3, 4, 6)).astype("float32")
    w[..., 0] = np.where(np.arange(36) == 0, 9, 0.01 * np.arange(36)).reshape(3, 3, 4)  # mean |u| below 2^-1/2
    g = RNG.normal(size=w.shape).astype("float32")
    u, back = standardized(w.reshape(36, 6).astype("float64"))
    scale = 2.0 ** np.round(np.log2(np.abs(u).mean(axis=0)))
    assert set(scale) > {1.0}
    value = array(IRNetWeights()(tensor(w), progress=tensor(progress)))
    np.testing.assert_array_equal(value.reshape(36, 6), scale * np.where(u >= 0, 1, -1))
    found = gradient(lambda w: IRNetWeights()(w, progress=tensor(progress)), w, g)
    expected = back(g.reshape(36, 6) * scale * slope(u, progress))
    np.testing.assert_allclose(found.reshape(36, 6), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_signs_are_balanced_and_neither_scale_nor_mean_count():
    w = RNG.normal(size=(64, 3)).astype("float32")
    q = array(IRNetWeights()(tensor(w)))
    assert (np.abs(np.sign(q).mean(axis=0)) < 0.3).all()
    np.testing.assert_array_equal(array(IRNetWeights()(tensor(4 * w))), q)
    np.testing.assert_array_equal(np.sign(array(IRNetWeights()(tensor(w + 8)))), np.sign(q))


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_filter_of_equal_weights_gives_zeros_and_gets_no_gradient(value):
    w = np.full((4, 2), value, "float32")
    assert not array(IRNetWeights()(tensor(w))).any()
    assert not gradient(IRNetWeights(), w, np.ones((4, 2))).any()


@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_inputs(progress):
    x = np.concatenate([RNG.normal(size=97), [0, -0.0, 1e30]]).astype("float32")
    np.testing.assert_array_equal(array(IRNetInputs()(tensor(x))), np.where(x >= 0, 1, -1))
    g = RNG.normal(size=x.shape).astype("float32")
    found = gradient(lambda x: IRNetInputs()(x, progress=tensor(progress)), x, g)
    np.testing.assert_allclose(found, g * slope(x.astype("float64"), progress), rtol=1e-3, atol=1e-5)
