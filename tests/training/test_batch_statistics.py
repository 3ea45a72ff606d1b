"""Statistics of batch normalization that a packed network lacks."""

import numpy as np
import pytest

import tfq
from tfq import layers, quantizers
from tfq.backend.keras import backend, keras
from tfq.training import restore_statistics


def network():
    """A model as `tfq.load_packed` makes them: mean 0, variance 1 - epsilon."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    inputs = x = keras.Input((4, 4, 3))
    for name, channels in (("first", 5), ("second", 7)):
        x = layers.QuantConv2D(channels, 2, kernel_quantizer=quantizers.TernaryWeights(), name=name)(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    for name, channels in (("first", 5), ("second", 7)):
        layer = model.get_layer(f"{name}_bn")
        gamma, beta = generator.standard_normal((2, channels))
        layer.set_weights([gamma, beta, np.zeros(channels), np.full(channels, 1 - layer.epsilon)])
    return model


IMAGES = np.random.default_rng(1).normal(2, 3, (40, 4, 4, 3)).astype("float32")
PARTS = (IMAGES[:32], IMAGES[32:])  # the smaller one counts for less


def test_the_statistics_are_those_of_the_inputs_and_the_model_computes_the_same():
    model = network()
    inputs = keras.Model(model.inputs, [model.get_layer(f"{name}_bn").input for name in ("first", "second")])
    expected = model.predict(IMAGES, verbose=0)
    restore_statistics(model, PARTS)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected, rtol=1e-3, atol=1e-3)
    for name, x in zip(("first", "second"), inputs.predict(IMAGES, verbose=0), strict=True):
        _, _, mean, variance = model.get_layer(f"{name}_bn").get_weights()
        np.testing.assert_allclose(mean, x.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance, x.var((0, 1, 2)), rtol=1e-3)


def test_a_step_of_training_starts_from_what_the_model_computes():
    off = []
    for restored in (False, True):
        model = network()
        expected = model.predict(IMAGES, verbose=0)
        if restored:
            restore_statistics(model, [IMAGES])
        outputs = model(IMAGES, training=True)
        off.append(np.abs(np.asarray(outputs.detach() if backend == "torch" else outputs) - expected).max())
    assert off[0] > 1
    assert off[1] < 1e-3  # float32 alone, in results of some tens


@pytest.mark.keras3_only
@pytest.mark.tensorflow_only
def test_a_network_of_the_zoo_can_be_trained_further():
    model = tfq.zoo.load("resnet20_272k_xnor_cifar10")
    images = np.random.default_rng(0).normal(size=(16, 32, 32, 3)).astype("float32")
    expected = model(images).numpy()
    restore_statistics(model, [images])
    for training in (False, True):
        off = np.abs(model(images, training=training).numpy() - expected)
        assert np.quantile(off, 0.8) < 0.01  # a sign at its boundary may flip, and changes its image


def test_a_model_without_batch_normalization_needs_nothing():
    inputs = keras.Input((4,))
    restore_statistics(keras.Model(inputs, keras.layers.Dense(2)(inputs)), [np.zeros((1, 4), "float32")])


def test_what_cannot_be_restored_is_said():
    with pytest.raises(ValueError, match="got none"):
        restore_statistics(network(), [])
    inputs = keras.Input((4, 4, 3))
    for options, message in (
        ({"scale": False}, "bare must have gamma and beta; got scale=False, center=True"),
        ({"center": False}, "bare must have gamma and beta; got scale=True, center=False"),
        ({"axis": 1}, "bare must normalize the last axis; got axis="),
    ):
        model = keras.Model(inputs, keras.layers.BatchNormalization(**options, name="bare")(inputs))
        with pytest.raises(ValueError, match=message):
            restore_statistics(model, [IMAGES])
