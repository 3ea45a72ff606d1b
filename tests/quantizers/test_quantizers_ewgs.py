"""EWGS (arXiv:2104.00903): levels between trained bounds, and gradients scaled by the rounding error, in NumPy."""

import numpy as np
import pytest
from conftest import array, tensor, vjp

from tfq.layers import QuantActivation, QuantDense
from tfq.quantizers import EWGSInputs, EWGSWeights

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

RNG = np.random.default_rng(0)
LOWER, UPPER = np.float32(-0.75), np.float32(1.25)


def expected(x, g, bits, delta):
    """Levels of [0, 1], gradients for x, the lower and the upper bound, in float64."""
    n, width = 2**bits - 1, float(UPPER) - float(LOWER)
    place = (x.astype("float64") - LOWER) / width
    clipped = np.clip(place, 0, 1)
    levels = np.rint(n * clipped) / n
    h = g * (1 + delta * np.sign(g) * (clipped - levels)) * ((place >= 0) & (place <= 1))
    return levels, h / width, (h * (place - 1)).sum() / width, -(h * place).sum() / width


def state(lower, upper):
    """As after a step: the bounds began at a half of where they are."""
    return {"lower_start": lower / 2, "upper_start": upper / 2, "lower_change": lower / 2, "upper_change": upper / 2}


@pytest.mark.parametrize("delta", [0.0, 0.5])
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("kind", [EWGSWeights, EWGSInputs])
def test_values_and_gradients(kind, bits, delta):
    n = 2**bits - 1
    places = (RNG.integers(-1, n + 2, 200) + RNG.uniform(-0.4, 0.4, 200)) / n
    x = np.concatenate([LOWER + places * (UPPER - LOWER), [LOWER, UPPER, 50, -50]]).astype("float32").reshape(4, 51)
    g = RNG.normal(size=x.shape).astype("float32")
    quantizer, is_kernel = kind(bits, delta), kind is EWGSWeights

    def call(x, lower, upper):
        return quantizer(x, **state(lower, upper))

    levels, *gradients = expected(x, 2 * g if is_kernel else g, bits, delta)
    value, found = vjp(call, [tensor(x), tensor(LOWER), tensor(UPPER)], tensor(g))
    np.testing.assert_allclose(array(value), 2 * levels - 1 if is_kernel else levels, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(array(found[0]), gradients[0], rtol=1e-4, atol=1e-5)
    # Half of the bound is the start, which is no function of the bound.
    for bound, exact in zip(found[1:], gradients[1:], strict=True):
        share = 0.5 if is_kernel else 1.0
        np.testing.assert_allclose(array(bound), share * exact, rtol=1e-3, atol=1e-4)


def test_the_bounds_of_a_kernel_follow_it_until_the_training_starts():
    layer = QuantDense(4, kernel_quantizer=EWGSWeights(2))
    layer.build((None, 30))
    w = RNG.normal(size=(30, 4)).astype("float32")
    for factor in (1, 10):
        layer.kernel.assign(factor * w)
        bound = 3 * (factor * w).std(ddof=1)
        levels = np.rint(3 * np.clip((factor * w + bound) / (2 * bound), 0, 1)) / 3
        np.testing.assert_allclose(array(layer.quantized_kernel), 2 * levels - 1, rtol=1e-5, atol=1e-6)
    layer(np.zeros((1, 30), "float32"), training=True)
    layer.kernel.assign(w)
    levels = np.rint(3 * np.clip((w + bound) / (2 * bound), 0, 1)) / 3
    np.testing.assert_allclose(array(layer.quantized_kernel), 2 * levels - 1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shift", [-0.5, 4])
def test_the_bounds_of_inputs_start_as_a_relu_with_the_first_batch_of_the_training(shift):
    layer = QuantActivation(EWGSInputs(2))
    x = (RNG.normal(size=(4, 5, 5, 3)) + shift).astype("float32")
    layer(x)
    assert layer.input_quantizer.window(**layer.input_arguments) == (0.0, 3.0)
    layer(x, training=True)
    above = np.maximum(x, 0)
    upper = 3 * above.std() / np.sqrt(1 - 2 / np.pi)
    expected = (0.0 if shift < 0 else x.min(), upper)
    np.testing.assert_allclose(layer.input_quantizer.window(**layer.input_arguments), expected, rtol=1e-5)
    layer(100 * x, training=True)
    np.testing.assert_allclose(layer.input_quantizer.window(**layer.input_arguments), expected, rtol=1e-5)


@pytest.mark.parametrize("quantizer", [EWGSInputs(2), EWGSWeights(2)], ids=repr)
def test_without_a_layer_there_are_no_bounds(quantizer):
    with pytest.raises(ValueError, match=r"EWGS.*\(bits=2, delta=0.001\) keeps bounds for each layer: give it to a layer of tfq"):
        quantizer(tensor([[1.0]]))
