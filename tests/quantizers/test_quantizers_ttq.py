"""Trained Ternary Quantization (arXiv:1612.01064): regions, values and gradients of equations 6 to 9, in NumPy."""

import numpy as np
import pytest
from conftest import array, compiled, tensor, vjp

from tfq.quantizers import TTQWeights, grids

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

RNG = np.random.default_rng(0)
POSITIVE, NEGATIVE = np.float32(0.7), np.float32(1.3)


def call(threshold):
    return lambda w, positive, negative: TTQWeights(threshold)(w, positive=positive, negative=negative)


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.4])
def test_values_and_gradients(threshold):
    w = RNG.normal(size=(3, 3, 4, 5)).astype("float32")
    w[0, 0, 0, :2] = 0
    g = RNG.normal(size=w.shape).astype("float32")
    delta = np.float32(threshold) * np.abs(w).max()
    above, below = w > delta, w < -delta
    value, gradients = vjp(call(threshold), [tensor(w), tensor(POSITIVE), tensor(NEGATIVE)], tensor(g))
    expected = np.where(above, POSITIVE, np.where(below, -NEGATIVE, 0))
    np.testing.assert_array_equal(array(value), expected)
    np.testing.assert_array_equal(array(compiled(call(threshold))(tensor(w), tensor(POSITIVE), tensor(NEGATIVE))), expected)
    by_w, by_positive, by_negative = map(array, gradients)
    np.testing.assert_allclose(by_w, g * np.where(above, POSITIVE, np.where(below, NEGATIVE, 1)), rtol=1e-6)
    np.testing.assert_allclose(by_positive, g[above].sum(dtype="float64"), rtol=1e-5)
    np.testing.assert_allclose(by_negative, -g[below].sum(dtype="float64"), rtol=1e-5)


def test_a_weight_at_the_threshold_is_zero():
    w = tensor([2.0, 1.0, -1.0, 1.0000001, -2.0])  # Delta is 1
    np.testing.assert_array_equal(array(call(0.5)(w, tensor(3.0), tensor(5.0))), [3, 0, 0, 3, -5])


@pytest.mark.parametrize("negative", [0.5, -0.5])  # the authors let a scale become negative, czhu95/ternarynet#7
def test_codes_are_the_regions(negative):
    w = tensor([[2.0, -0.01], [-1.0, 0.5]])
    state = {"positive": tensor(0.25), "negative": tensor(negative)}
    codes = TTQWeights().encode(w, **state)
    np.testing.assert_array_equal(codes.codes, [[1, 0], [-1, 1]])
    assert codes.grid == grids.UnevenTernary(0.25, negative)
    np.testing.assert_array_equal(codes.values(), array(TTQWeights()(w, **state)))


def test_without_a_layer_there_are_no_scales():
    with pytest.raises(ValueError, match=r"TTQWeights\(threshold=0.05\) keeps two scales for each layer: give it to a layer"):
        TTQWeights()(tensor([1.0]))
