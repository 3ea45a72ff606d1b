"""RPReLU of ReActNet: values and closed-form gradients, in NumPy; configuration, shapes, mixed precision."""

import numpy as np
import pytest
from conftest import array, layer_vjp, tensor

from tfq.backend.keras import is_legacy, keras
from tfq.layers import RPReLU

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("shape", "axis"), [((4, 5, 5, 3), -1), ((4, 3, 5, 5), 1), ((6, 3), -1), ((4, 7, 3), 2)])
def test_values_and_gradients(shape, axis):
    layer = RPReLU(axis)
    layer.build((None, *shape[1:]))
    spread = [1] * len(shape)
    spread[axis] = 3
    gamma, beta, zeta = (RNG.normal(size=3).astype("float32").reshape(spread) for _ in range(3))
    layer.set_weights([gamma, beta, zeta])
    x, g = RNG.normal(size=shape).astype("float32"), RNG.normal(size=shape).astype("float32")
    x.flat[0] = gamma.flat[0]  # at the corner
    value, (by_x, *by_weights) = layer_vjp(layer, x, g)
    distance = x - gamma
    slope = np.where(distance > 0, 1, beta)
    np.testing.assert_allclose(value, slope * distance + zeta, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_x, g * slope, rtol=1e-5)
    others = tuple(each for each in range(len(shape)) if each != axis % len(shape))
    expected = {"gamma": -g * slope, "beta": g * np.minimum(distance, 0), "zeta": g}
    for weight, found in zip(layer.trainable_weights, by_weights, strict=True):
        (exact,) = (gradient for name, gradient in expected.items() if name in weight.name)
        np.testing.assert_allclose(found, exact.sum(axis=others, keepdims=True), rtol=1e-4, atol=1e-5)


def test_it_starts_as_a_leaky_relu():
    np.testing.assert_array_equal(array(RPReLU()(tensor([[-2.0, 0.0, 3.0]]))), [[-0.5, 0, 3]])


def test_it_comes_back_from_its_configuration():
    layer = RPReLU(axis=1, name="bend")
    again = RPReLU.from_config(layer.get_config())
    assert (again.axis, again.name) == (1, "bend")
    assert tuple(layer.compute_output_shape((None, 3, 4))) == (None, 3, 4)


@pytest.mark.parametrize(("axis", "shape"), [(2, (None, 4)), (1, (None, None, 4))])
def test_the_number_of_channels_must_be_known(axis, shape):
    with pytest.raises(ValueError, match=rf"RPReLU 'bend': axis={axis} must have a known size; got inputs of shape"):
        RPReLU(axis, name="bend").build(shape)


def test_mixed_precision_casts_the_results_alone():
    make = keras.mixed_precision.Policy if is_legacy else keras.dtype_policies.get
    layer = RPReLU(dtype=make("mixed_bfloat16"))
    assert "bfloat16" in str(layer(tensor([[1.0, -1.0]])).dtype)
    assert all("float32" in str(weight.dtype) for weight in layer.weights)
