"""Keras' global settings, as a keras.json may have them, change nothing that tfq itself builds, trains and compares."""

import numpy as np
import pytest
from conftest import array

import models
from tfq import export
from tfq.backend.keras import backend, is_legacy, keras
from tfq.backend.settings import _settings, plain_settings
from tfq.cli import program
from tfq.cli.config import TrainingConfig
from tfq.convert import to_keras
from tfq.convert.from_keras import from_keras

ODD = {
    "floatx": "float16",
    "image_data_format": "channels_first",
    "epsilon": 1e-3,
    "dtype_policy": "float16",
    "max_epochs": 1,
    "max_steps_per_epoch": 1,
}


def state():
    return {name: getattr(get(), "name", None) or get() for name, (get, _, _) in _settings().items()}


PLAIN = state()  # of the process of these tests


@pytest.fixture
def odd():
    """What the settings are while a test runs."""
    before = {name: get() for name, (get, _, _) in _settings().items()}
    for name, (_, put, _) in _settings().items():
        put(ODD[name.split()[-1]])
    yield {name: ODD[name.split()[-1]] for name in before}
    for name, value in before.items():
        _settings()[name][1](value)


def network():
    """Of the layers whose results depend on a setting."""
    x = inputs = keras.Input((8, 8, 3), dtype="float32")
    last = {"data_format": "channels_last", "dtype": "float32"}
    x = keras.layers.Conv2D(4, 3, **last)(x)
    x = keras.layers.MaxPooling2D(2, **last)(keras.layers.ZeroPadding2D(1, **last)(x))
    x = keras.layers.AveragePooling2D(2, **last)(keras.layers.BatchNormalization(dtype="float32")(x))
    return keras.Model(inputs, keras.layers.Dense(10, dtype="float32")(keras.layers.GlobalAveragePooling2D(**last)(x)))


IMAGES = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")


def test_settings_are_those_that_keras_comes_with_and_then_again_those_of_before(odd):
    lines = []
    assert odd != PLAIN
    with plain_settings(lines.append):
        assert state() == PLAIN
        with plain_settings(lines.append):
            assert state() == PLAIN
    assert state() == odd
    (line,) = lines
    assert line.startswith("Keras' settings floatx=float16, image_data_format=channels_first, epsilon=0.001, max_epochs=1, ")
    assert ("tf_keras' image_data_format=channels_first" in line) == is_legacy
    with pytest.raises(ZeroDivisionError), plain_settings():
        raise ZeroDivisionError
    assert state() == odd


def test_plain_settings_are_not_spoken_of():
    with plain_settings(pytest.fail):
        assert state() == PLAIN


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", models.NETWORKS)
def test_networks_have_their_channels_last(name, odd):
    with plain_settings():
        keras.backend.set_image_data_format("channels_first")
        options = {"depth": 8, "width": 1} if name == "resnet20" else {}
        model = models.build(name, "dorefa", w_bits=2, a_bits=2, input_shape=(8, 8, 3), **options)
        assert {getattr(layer, "data_format", "channels_last") for layer in model.layers} == {"channels_last"}
        assert model.output_shape == (None, 10)


def test_train_py_trains_with_the_settings_that_keras_comes_with(odd, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(program, "evaluate", lambda *_: seen.append(state()))
    program.run(TrainingConfig(dataset="digits", evaluate=True), backend, directory=None, build=None)
    assert seen == [PLAIN]
    assert "Keras' settings floatx=float16, image_data_format=channels_first, " in capsys.readouterr().out.splitlines()[0]


@pytest.mark.tensorflow_only
def test_a_packed_network_is_the_same_whatever_the_settings(odd):
    with plain_settings():
        expected = to_keras.to_keras(from_keras(network()))
    found = to_keras.to_keras(from_keras(network()))
    assert {layer.dtype if is_legacy else layer.dtype_policy.name for layer in found.layers} == {"float32"}
    found.set_weights(expected.get_weights())
    np.testing.assert_array_equal(array(found(IMAGES)), array(expected(IMAGES)))


def test_an_export_is_compared_with_the_settings_that_keras_comes_with(odd, tmp_path):
    seen = []
    export.export_model(network(), tmp_path, ["keras"], images=IMAGES, log=lambda report: seen.append(state()))
    assert seen == [PLAIN]
