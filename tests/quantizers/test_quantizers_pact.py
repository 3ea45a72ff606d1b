"""PACT (arXiv:1805.06085): values and gradients of equations 1 to 3 in NumPy, and the penalty of the clip."""

import numpy as np
import pytest
from conftest import array, tensor, vjp

from tfq.backend.keras import keras
from tfq.layers import QuantActivation
from tfq.quantizers import PACTInputs

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

RNG = np.random.default_rng(0)
ALPHA = np.float32(2.5)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_values_and_gradients(bits):
    n = 2**bits - 1
    # Away from the boundaries, where float32 and float64 may differ; the ends of the clip, and beyond.
    places = np.concatenate([(RNG.integers(0, n, 300) + RNG.uniform(-0.4, 0.4, 300)) / n * ALPHA, -RNG.uniform(0, 2, 50)])
    x = (
        np.concatenate([places, [0, ALPHA, np.nextafter(ALPHA, np.float32(0)), 9, np.inf, -np.inf]])
        .astype("float32")
        .reshape(4, -1)
    )
    g = RNG.normal(size=x.shape).astype("float32")
    value, gradients = vjp(lambda x, alpha: PACTInputs(bits)(x, alpha=alpha), [tensor(x), tensor(ALPHA)], tensor(g))
    expected = np.rint(np.clip(x.astype("float64"), 0, ALPHA) * n / ALPHA) * ALPHA / n
    np.testing.assert_allclose(array(value), expected, rtol=1e-6)
    np.testing.assert_array_equal(array(gradients[0]), np.where((x >= 0) & (x < ALPHA), g, 0))
    np.testing.assert_allclose(array(gradients[1]), g[x >= ALPHA].sum(dtype="float64"), rtol=1e-5)
    assert len(np.unique(array(value))) <= 2**bits


def test_the_clip_belongs_to_the_layer_and_is_penalized():
    layer = QuantActivation(PACTInputs(2, alpha=4.0, l2=0.5))
    layer(tensor([[1.0]]))
    assert layer.input_quantizer.window(**layer.input_arguments) == (0.0, 4.0)
    assert [float(loss) for loss in layer.losses] == [0.5 * 16]
    assert len(layer.trainable_weights) == 1
    free = QuantActivation(PACTInputs(2, l2=0))
    free(tensor([[1.0]]))
    assert not free.losses


def test_the_penalty_pulls_a_clip_that_no_value_exceeds():
    model = keras.Sequential([keras.Input((3,)), QuantActivation(PACTInputs(4, alpha=10.0, l2=0.1)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(np.ones((4, 3), "float32"), np.zeros((4, 1), "float32"), epochs=1, verbose=0)
    assert array(model.layers[0].input_arguments["alpha"]) == pytest.approx(10 * (1 - 2 * 0.1 * 0.5))


def test_a_clip_trained_below_zero_counts_as_the_smallest():
    quantizer = PACTInputs(2)
    x = tensor([[-1.0, 0.0, 1e-7, 1.0]])
    value, gradients = vjp(lambda x, alpha: quantizer(x, alpha=alpha), [x, tensor(-0.5)], tensor([[1.0, 1.0, 1.0, 1.0]]))
    assert np.isfinite(array(value)).all()
    assert array(gradients[1]) == 1  # of the last value, so that it can grow again
    assert quantizer.grid(alpha=tensor(-0.5)).high == pytest.approx(1e-6)
