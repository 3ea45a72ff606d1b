"""ReSTE (arXiv:2308.06689): signs, and the derivative of the power function, in NumPy."""

import numpy as np
import pytest
from conftest import array, gradient, tensor

from tfq.quantizers import ReSTEInputs, ReSTEWeights

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

RNG = np.random.default_rng(0)
# Both ends, and next to them.
ENDS = [np.nextafter(np.float32(end), np.float32(to)) for end in (0.1, 1.5) for to in (0, end, 2)]
X = np.concatenate([1.5 * RNG.normal(size=93), [0], ENDS]).astype("float32")
X = np.concatenate([X, -X])


def slope(x, progress, o_end=3.0, t=1.5, m=0.1):
    o = 1 + (o_end - 1) * (1 - np.cos(progress * np.pi / 2))
    size = np.abs(x)
    power = np.where(size <= np.float32(m), m ** (1 / o) / m, np.maximum(size, 1e-9) ** ((1 - o) / o) / o)
    return np.where(size <= np.float32(t), power, 0)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_inputs(progress):
    g = RNG.normal(size=X.shape).astype("float32")
    np.testing.assert_array_equal(array(ReSTEInputs()(tensor(X))), np.where(X >= 0, 1, -1))
    found = gradient(lambda x: ReSTEInputs()(x, progress=tensor(progress)), X, g)
    np.testing.assert_allclose(found, g * slope(X.astype("float64"), progress), rtol=1e-5)
    assert ReSTEInputs().window() == (-1.5, 1.5)


def test_at_the_start_it_is_the_clipped_straight_through_estimator():
    np.testing.assert_allclose(gradient(ReSTEInputs(), X), np.abs(X) <= 1.5, rtol=1e-6)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_weights(progress):
    w = X.reshape(-1, 4)
    g = RNG.normal(size=w.shape).astype("float32")
    exact, signs = w.astype("float64"), np.where(w >= 0, 1, -1)
    alpha = np.abs(exact).mean()
    quantizer = ReSTEWeights(o_end=2.0)
    np.testing.assert_allclose(array(quantizer(tensor(w))), alpha * signs, rtol=1e-6)
    found = gradient(lambda w: quantizer(w, progress=tensor(progress)), w, g)
    expected = alpha * slope(exact, progress, o_end=2.0) * g + signs * (signs * g).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
