"""RSign of ReActNet (arXiv:2003.03488): signs above a threshold a channel, and the polynomial's gradients, in NumPy."""

import numpy as np
import pytest
from conftest import array, tensor, vjp

from tfq.layers import QuantActivation
from tfq.quantizers import RSignInputs

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("shape", "axis"), [((4, 5, 5, 3), -1), ((4, 3, 5, 5), 1), ((6, 3), -1)])
def test_values_and_gradients(shape, axis):
    x = (1.5 * RNG.normal(size=shape)).astype("float32")
    g = RNG.normal(size=shape).astype("float32")
    spread = [1] * len(shape)
    spread[axis] = 3
    alpha = np.float32([-0.5, 0.25, 1.0]).reshape(spread)
    x.flat[0] = alpha.flat[0]  # on the threshold
    value, gradients = vjp(lambda x, alpha: RSignInputs(axis)(x, threshold=alpha), [tensor(x), tensor(alpha)], tensor(g))
    distance = x - alpha
    np.testing.assert_array_equal(array(value), np.where(distance >= 0, 1, -1))
    by_x = g * np.maximum(2 - 2 * np.abs(distance), 0)
    np.testing.assert_allclose(array(gradients[0]), by_x, rtol=1e-6)
    others = tuple(each for each in range(len(shape)) if each != axis % len(shape))
    np.testing.assert_allclose(array(gradients[1]), -by_x.astype("float64").sum(axis=others, keepdims=True), rtol=1e-4, atol=1e-5)


def test_each_channel_has_a_threshold_that_starts_from_zero():
    layer = QuantActivation(RSignInputs())
    layer(tensor(RNG.normal(size=(2, 4, 4, 3))))
    (threshold,) = layer.trainable_weights
    assert tuple(threshold.shape) == (1, 1, 1, 3)
    assert not array(threshold).any()


@pytest.mark.parametrize(("axis", "shape"), [(3, (None, 4)), (1, (None, None, 4)), (-3, (None, 4))])
def test_the_number_of_channels_must_be_known(axis, shape):
    with pytest.raises(ValueError, match=r"RSignInputs\(axis=.*needs inputs with a known number of channels; got inputs of"):
        QuantActivation(RSignInputs(axis)).build(shape)
