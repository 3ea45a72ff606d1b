"""Signs and rounding: values, windows of the gradient, and what happens at 0, at the bounds, to NaN and to subnormals."""

import numpy as np
import pytest
from conftest import array, compiled, gradient, tensor

from tfq import ste
from tfq.backend.keras import backend

# Both sides of every bound, the bounds themselves, both zeros, and the infinities.
X = np.array([-np.inf, -2, -1.0000001, -1, -0.9999999, -0.5, -0.0, 0, 0.5, 0.9999999, 1, 1.0000001, 2, np.inf], "float32")
INSIDE = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "float32")
UPSTREAM = np.linspace(-3, 4, len(X)).astype("float32")


@pytest.mark.parametrize("function", [ste.sign, ste.ste_sign])
def test_sign_is_never_zero(function):
    expected = np.array([-1] * 6 + [1] * 8, "float32")
    np.testing.assert_array_equal(array(function(tensor(X))), expected)
    np.testing.assert_array_equal(array(compiled(function)(tensor(X))), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_sign_keeps_the_dtype(dtype):
    assert dtype in str(ste.ste_sign(tensor([-1.0, 2.0], dtype)).dtype)


def test_sign_of_nan_is_minus_one():
    np.testing.assert_array_equal(array(ste.ste_sign(tensor([np.nan]))), [-1])


@pytest.mark.skipif(backend == "torch", reason="PyTorch keeps subnormals")
def test_sign_flushes_subnormals():
    assert np.float32(-1e-40) < 0
    np.testing.assert_array_equal(array(compiled(ste.sign)(tensor([-1e-40]))), [1])


def test_sign_has_no_gradient_outside_the_closed_window():
    np.testing.assert_array_equal(gradient(ste.ste_sign, X, UPSTREAM), UPSTREAM * INSIDE)


def test_sign_stops_any_upstream_gradient_outside_the_window():
    np.testing.assert_array_equal(gradient(ste.ste_sign, [2, -3, np.nan, 1.5], [np.inf, -np.inf, 3e38, np.nan]), [0, 0, 0, 0])
    upstream = np.float32([3e38, -3e38, 3e38, -3e38])
    np.testing.assert_array_equal(gradient(ste.ste_sign, [2, -3, np.nan, np.inf], upstream), [0, 0, 0, 0])
    np.testing.assert_array_equal(gradient(ste.ste_sign, [1, -1, 0, 0.5], upstream), upstream)


def test_window_is_closed_and_excludes_nan():
    x = [-0.5, 0, 0.25, 1, 1.5, np.nan]
    np.testing.assert_array_equal(array(ste.inside(tensor(x), 0, 1)), [0, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(array(ste.inside(tensor(X), -1, 1)), INSIDE)


def test_clip_passes_the_gradient_at_its_bounds():
    np.testing.assert_array_equal(array(ste.clip_inclusive(tensor(X))), np.clip(X, -1, 1))
    np.testing.assert_array_equal(gradient(ste.clip_inclusive, X, UPSTREAM), UPSTREAM * INSIDE)


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 16])
def test_rounding_returns_each_level(bits):
    n = 2**bits - 1
    levels = np.arange(n + 1, dtype="float32") / np.float32(n)
    result = array(ste.round_to_levels(tensor(levels), bits))
    # XLA multiplies by 1 / n: one unit in the last place below 1, and none at the ends.
    np.testing.assert_allclose(result, levels, rtol=0, atol=6e-8 if backend == "jax" else 0)
    np.testing.assert_array_equal(result[[0, -1]], [0, 1])


def test_rounding_takes_the_nearest_level():
    x = np.float32([0, 0.49, 0.51, 1.49, 1.51, 2.49, 2.51, 3]) / 3
    np.testing.assert_array_equal(np.round(3 * array(ste.round_to_levels(tensor(x), 2)), 4), [0, 0, 1, 1, 2, 2, 3, 3])


def test_rounding_takes_the_even_one_of_two_levels():
    # Halves over 15 that float32 multiplies by 15 exactly (checked here), and the only tie of one bit.
    ties = np.float32([0.5, 2.5, 4.5, 7.5]) / np.float32(15)
    np.testing.assert_array_equal(ties * np.float32(15), [0.5, 2.5, 4.5, 7.5])
    np.testing.assert_array_equal(np.round(15 * array(ste.round_to_levels(tensor(ties), 4)), 4), [0, 2, 4, 8])
    np.testing.assert_array_equal(array(ste.round_to_levels(tensor([0.4999, 0.5, 0.5001]), 1)), [0, 0, 1])
