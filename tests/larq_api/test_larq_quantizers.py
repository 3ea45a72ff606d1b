"""larq's quantizers by their NumPy oracle, on every backend: the same bits but next to a boundary; and NaN's limits."""

import larq_oracle as oracle
import numpy as np
import pytest
from conftest import array, gradient, tensor

from tfq import larq as lq
from tfq import quantizers
from tfq.backend.keras import ops

X, G = oracle.operands()
F = np.float32


@pytest.mark.parametrize("case", oracle.CASES, ids=lambda case: f"{case.name}{tuple(case.arguments.values())}")
def test_values_and_gradients(case):
    quantizer = getattr(lq.quantizers, case.name)(**case.arguments)
    values, expected = array(quantizer(tensor(X))), case.value(X)
    if case.name == "DoReFa":  # x n is rounded, and XLA and TensorFlow's graphs multiply by 1 / n where the oracle divides by n
        near = oracle.is_near(X, case.boundaries)
        np.testing.assert_allclose(values[~near], expected[~near], rtol=2e-7)
        assert np.count_nonzero(np.abs(values - expected) > 1e-6) <= 2 * len(case.boundaries)
    else:
        np.testing.assert_array_equal(values, expected)
    found, expected = gradient(quantizer, X, G), case.gradient(X, G)
    if case.name == "SwishSign":  # libraries differ in the last bits of tanh and cosh, and two terms cancel
        np.testing.assert_allclose(found, expected, rtol=3e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["SteSign", "ApproxSign", "SwishSign", "SteHeaviside", "SteTern"])
def test_half_precision_is_that_of_float32(name):
    quantizer = getattr(lq.quantizers, name)()
    x = np.float16([-60000, -1, -0.5, -0.0, 0, 0.25, 1, 60000])
    np.testing.assert_array_equal(array(quantizer(tensor(x, "float16"))), array(quantizer(tensor(x.astype("float32")))))
    found = gradient(quantizer, x, 1.0, "float16")
    np.testing.assert_array_equal(found, gradient(quantizer, x.astype("float32")).astype("float16"))


def test_swish_sign_far_out_has_no_gradient():
    x = np.float32([-3e38, -1e38, -30, 30, 1e38, 3e38])
    np.testing.assert_array_equal(gradient(quantizers.SwishSign(), x, 1.0), np.zeros(6))


@pytest.mark.parametrize("axis", [-1, -2, (-2, -1)])
def test_magnitude_aware_sign_has_a_scale_for_each_filter(axis):
    w = np.random.default_rng(1).normal(size=(3, 3, 4, 5)).astype("float32")
    others = tuple({-1: (0, 1, 2), -2: (0, 1, 3), (-2, -1): (0, 1)}[axis])
    alpha = np.abs(w).mean(others, keepdims=True)
    quantizer = lq.quantizers.MagnitudeAwareSign()
    np.testing.assert_allclose(array(quantizer(tensor(w), channel_axis=axis)), alpha * oracle.sign(w), rtol=1e-6)
    found = gradient(lambda w: quantizer(w, channel_axis=axis), w, 2.0)
    np.testing.assert_allclose(found, 2 * alpha * (np.abs(w) <= 1), rtol=1e-6)


def test_the_threshold_of_ternary_weight_networks():
    w = np.random.default_rng(1).normal(size=(3, 3, 40, 50)).astype("float32")
    quantizer = lq.quantizers.SteTern(ternary_weight_networks=True)
    threshold = 0.7 * np.abs(w).mean(dtype="float64")
    clear = np.abs(np.abs(w) - threshold) > 1e-6
    np.testing.assert_array_equal(array(quantizer(tensor(w)))[clear], oracle.ternary(w, threshold)[clear])
    np.testing.assert_array_equal(gradient(quantizer, w, 2.0), 2.0 * (np.abs(w) <= 1))
    assert not array(quantizer(tensor(np.zeros((2, 3))))).any()


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_dorefa_of_weights(bits):
    w = np.random.default_rng(1).normal(size=(3, 3, 4, 5)).astype("float32")
    t, n = np.tanh(w.astype("float64")), 2**bits - 1
    unit = t / (2 * np.abs(t).max()) + 0.5
    quantizer = lq.quantizers.DoReFa(bits, mode="weights")
    clear = np.abs(unit * n % 1 - 0.5) > 1e-5
    np.testing.assert_allclose(array(quantizer(tensor(w)))[clear], (2 * np.rint(unit * n) / n - 1)[clear], atol=1e-6)
    np.testing.assert_allclose(gradient(quantizer, w, 3.0), 3 * (1 - t**2) / np.abs(t).max(), rtol=1e-4, atol=1e-6)


def test_noop_passes_all_on():
    quantizer = lq.quantizers.NoOp(precision=1)
    np.testing.assert_array_equal(array(quantizer(tensor(X[:99]))), X[:99])
    assert (quantizer.precision, quantizer.bits) == (1, 1)


def test_hard_tanh():
    x = np.float32([-2, -1, np.nextafter(F(-1), F(0)), 0.5, 1, np.nextafter(F(1), F(2)), 7])
    np.testing.assert_array_equal(array(lq.activations.hard_tanh(tensor(x))), np.clip(x, -1, 1))
    np.testing.assert_array_equal(gradient(lq.activations.hard_tanh, x, 3.0), 3.0 * (np.abs(x) <= 1))


@pytest.mark.parametrize("alpha", [0.2, 0.5])
def test_leaky_tanh(alpha):
    x = X[:5000]

    def function(x):
        return lq.activations.leaky_tanh(x, alpha)

    expected = np.clip(x, -1, 1) + (np.maximum(x, 1) - 1) * F(alpha) + (np.minimum(x, -1) + 1) * F(alpha)
    np.testing.assert_allclose(array(function(tensor(x))), expected, rtol=1e-6)
    np.testing.assert_array_equal(gradient(function, x, G[:5000]), np.where(np.abs(x) <= 1, G[:5000], G[:5000] * F(alpha)))


def test_steps():
    x = [-np.inf, -1.5, -0.0, 0.0, 1e-30, np.inf]
    np.testing.assert_array_equal(array(lq.math.sign(tensor(x))), [-1, -1, 1, 1, 1, 1])
    np.testing.assert_array_equal(array(lq.math.heaviside(tensor(x))), [0, 0, 0, 0, 1, 1])
    assert "float16" in str(lq.math.heaviside(ops.cast([1.0], "float16")).dtype)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lq.quantizers.SteSign(0), "SteSign: clip_value must be above 0, or None; got clip_value=0"),
        (lambda: lq.quantizers.SteHeaviside(True), "SteHeaviside: clip_value must be above 0, or None; got clip_value=True"),
        (lambda: lq.quantizers.SwishSign(-1), "SwishSign: beta must be above 0; got beta=-1"),
        (lambda: lq.quantizers.SteTern(-0.1), "SteTern: threshold_value must be 0 or above; got threshold_value=-0.1"),
        (lambda: lq.quantizers.SteTern(ternary_weight_networks="yes"), "SteTern: ternary_weight_networks must be True or False"),
        (lambda: lq.quantizers.DoReFa(33), "DoReFa: bits must be an integer from 1 to 16, or 32"),
        (lambda: lq.quantizers.DoReFa(2, "kernel"), "DoReFa: mode must be 'activations' or 'weights'; got mode='kernel'"),
        (lambda: lq.quantizers.get("NoOp"), "quantizer 'NoOp' needs its precision"),
        (lambda: lq.quantizers.get("unknown"), "unknown quantizer 'unknown'"),
        (lambda: lq.quantizers.get(42), "expected a quantizer, its name"),
        (lambda: lq.layers.QuantDense(3, input_quantizer=lq.quantizers.MagnitudeAwareSign()), "must quantize inputs"),
        (lambda: lq.layers.QuantDense(3, input_quantizer=lq.quantizers.DoReFa(2, "weights")), "must quantize inputs"),
        (lambda: lq.layers.QuantDense(3, input_quantizer=lq.quantizers.SteTern(0, True)), "must quantize inputs"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()
