"""`quantized_scope`: what is read and saved within it."""

import numpy as np
import pytest

from tfq.backend.keras import keras
from tfq.constraints import WeightClip
from tfq.larq.context import quantized_scope, should_quantize
from tfq.layers import QuantDense
from tfq.quantizers import DoReFaWeights, TernaryWeights, XnorWeights

X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


@pytest.fixture
def model():
    keras.utils.set_random_seed(2)
    layers = [QuantDense(4, kernel_quantizer=q) for q in (XnorWeights(), TernaryWeights(), "ste_sign")]
    return keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(2)])


def test_weights_are_quantized_and_come_back(model, tmp_path):
    latent, outputs = model.get_weights(), model.predict(X, verbose=0)
    with quantized_scope(True):
        assert should_quantize()
        quantized = model.get_weights()
        with quantized_scope(False):
            assert not should_quantize()
            assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), latent, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), quantized, strict=True))
        np.testing.assert_allclose(model.predict(X, verbose=0), outputs, rtol=1e-5, atol=1e-6)
        model.save(tmp_path / "quantized.keras")
    assert not should_quantize()
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), latent, strict=True))
    np.testing.assert_array_equal(np.abs(quantized[0]), np.broadcast_to(np.abs(quantized[0])[:1], (5, 4)))
    np.testing.assert_allclose(np.abs(quantized[0])[0], np.abs(latent[0]).mean(axis=0), rtol=1e-6)
    assert set(np.unique(quantized[4])) <= {-1, 1}
    np.testing.assert_array_equal(quantized[6], latent[6])
    loaded = keras.models.load_model(tmp_path / "quantized.keras")
    assert all(np.array_equal(a, b) for a, b in zip(loaded.get_weights(), quantized, strict=True))
    np.testing.assert_allclose(loaded.predict(X, verbose=0), outputs, rtol=1e-5, atol=1e-6)


def test_an_error_within_it_ends_it(model):
    latent = model.get_weights()
    with pytest.raises(KeyError), quantized_scope(True):
        raise KeyError
    assert not should_quantize()
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), latent, strict=True))


def test_what_is_assigned_within_it_stays(model):
    kernel = np.full((5, 4), 0.25, "float32")
    with quantized_scope(True):
        model.layers[0].set_weights([kernel, np.zeros(4, "float32")])
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], kernel)


def test_quantizers_that_move_their_own_values_are_told():
    layer = QuantDense(4, kernel_quantizer=DoReFaWeights(4), kernel_constraint=WeightClip(), name="moves")
    layer.build((None, 50))
    with pytest.warns(UserWarning, match="would quantize 'moves' anew"), quantized_scope(True):
        assert np.unique(layer.get_weights()[0]).size <= 16


@pytest.mark.keras3_only
def test_a_layer_with_lora_stays_as_it_is_and_is_said():
    layer = QuantDense(4, kernel_quantizer=XnorWeights(), name="low")
    layer.build((None, 5))
    layer.enable_lora(2)
    latent = layer.get_weights()
    with pytest.warns(UserWarning, match="'low' has LoRA, whose sum is no weight"), quantized_scope(True):
        np.testing.assert_array_equal(layer.get_weights()[0], latent[0])
