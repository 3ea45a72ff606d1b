"""Models with tfq's layers, saved and loaded again without `custom_objects`; checkpoints hold the latent kernels."""

import functools
import os
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from conftest import ROOT, array

from tfq import layers, quantizers
from tfq.backend.keras import backend, is_legacy, keras
from tfq.constraints import WeightClip

IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")


def block(filters, **options):
    return layers.QuantConv2D(
        filters,
        3,
        padding="same",
        input_quantizer="xnor_inputs",
        kernel_quantizer=quantizers.XnorWeights(gradient=quantizers.PaperGradient(), clip=True),
        kernel_constraint="weight_clip",
        **options,
    )


def sequential():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.QuantActivation(quantizers.DoReFaInputs(2)),
            layers.QuantConv2D(4, 3, kernel_quantizer="ternary_weights", gradient_quantizer=quantizers.DoReFaGradients(4)),
            layers.BatchNormalization(),
            keras.layers.Flatten(),
            layers.QuantGradient(quantizers.DoReFaGradients(8)),
            # Each keeps something, under the same names.
            layers.QuantDense(5, input_quantizer=quantizers.LSQInputs(4), kernel_quantizer=quantizers.LSQWeights(4)),
            layers.QuantDense(3, input_quantizer=quantizers.DoReFaInputs(4), kernel_quantizer=quantizers.DoReFaWeights(4)),
        ]
    )


def functional():
    inputs = keras.Input((8, 8, 3))
    x = block(4, kmap=True)(inputs)
    x = keras.layers.Add()([x, block(4, pad_values=1)(layers.BatchNormalization()(x))])
    return keras.Model(inputs, layers.QuantDense(3, kernel_quantizer="xnor_weights")(keras.layers.Flatten()(x)))


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.convolution = block(4, gradient_quantizer=quantizers.DoReFaGradients(4))
        self.normalization = layers.BatchNormalization()
        self.flatten = keras.layers.Flatten()
        self.head = layers.QuantDense(3, kernel_quantizer="ternary_weights")

    def call(self, inputs, training=None):
        x = self.normalization(self.convolution(inputs, training=training), training=training)
        return self.head(self.flatten(x))


def nested():
    inputs = keras.Input((8, 8, 3))
    inner = functional()
    return keras.Model(inputs, keras.layers.Average()([inner(inputs), sequential()(inputs)]))


@functools.cache
def trained(make):
    """One for all tests, which only read it."""
    keras.utils.set_random_seed(0)
    model = make()
    model.compile("adam", "mse")
    model.fit(IMAGES, np.ones((4, 3), "float32"), verbose=0)
    return model


MODELS = [sequential, functional, Subclassed, nested]


@pytest.mark.parametrize("make", MODELS)
def test_a_saved_model_loads_without_custom_objects(tmp_path, make):
    model = trained(make)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(array(a), array(b))
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), again.predict(IMAGES, verbose=0))
    again.fit(IMAGES, np.ones((4, 3), "float32"), verbose=0)


@pytest.mark.legacy_only
@pytest.mark.parametrize("make", [sequential, functional, nested])
def test_an_h5_model_of_tf_keras_loads_without_custom_objects(tmp_path, make):
    model = trained(make)
    model.save(tmp_path / "model.h5")
    again = keras.models.load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), again.predict(IMAGES, verbose=0))


def test_layers_come_back_with_their_options(tmp_path):
    trained(functional).save(tmp_path / "model.keras")
    first, second = [
        layer for layer in keras.models.load_model(tmp_path / "model.keras").layers if isinstance(layer, layers.QuantConv2D)
    ]
    assert first.kernel_quantizer == quantizers.XnorWeights(gradient=quantizers.PaperGradient(), clip=True)
    assert first.input_quantizer == quantizers.XnorInputs()
    assert isinstance(first.kernel_constraint, WeightClip)
    assert (first.kmap, first.pad_values, second.kmap, second.pad_values) == (True, 0, False, 1)


@pytest.mark.parametrize("make", MODELS)
def test_saved_weights_load_into_a_rebuilt_model(tmp_path, make):
    model = trained(make)
    model.save_weights(tmp_path / "model.weights.h5")
    keras.utils.set_random_seed(1)
    again = make()
    again(IMAGES)
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), again.predict(IMAGES, verbose=0))


def arrays_in(file):
    found = []
    with h5py.File(file, "r") as h5:
        h5.visititems(lambda _, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("form", [".keras", ".weights.h5"])
def test_a_checkpoint_holds_the_latent_kernel(tmp_path, form):
    model = trained(functional)
    path = tmp_path / f"model{form}"
    if form == ".keras":
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            path = archive.extract("model.weights.h5", tmp_path)
    else:
        model.save_weights(path)
    stored = [a for a in arrays_in(path) if a.shape == (3, 3, 4, 4)]
    (layer,) = [layer for layer in model.layers if isinstance(layer, layers.QuantConv2D) and layer.kernel.shape[2] == 4]
    latent, quantized = array(layer.kernel), array(layer.quantized_kernel)
    assert not np.array_equal(latent, quantized)
    assert any(np.array_equal(a, latent) for a in stored)
    assert not any(np.array_equal(a, quantized) for a in stored)


def test_a_quantized_layer_has_the_weights_of_the_keras_layer():
    def model(convolution):
        return keras.Sequential([keras.Input((8, 8, 3)), convolution(4, 3, name="convolution")])

    stock, ours = model(keras.layers.Conv2D), model(layers.QuantConv2D)
    ours.set_weights(stock.get_weights())
    np.testing.assert_array_equal(ours.predict(IMAGES, verbose=0), stock.predict(IMAGES, verbose=0))


NAME = "tf_keras" if is_legacy else "keras"
IMPORTS = {
    "tfq first": f"import tfq\nimport {NAME} as keras",
    "tfq last": f"import {NAME} as keras\nimport tfq",
    "a probe between": f"import importlib.util\nimport tfq\nimportlib.util.find_spec('{NAME}')\nimport {NAME} as keras",
}
# A process each, of seconds.
FAST = ("tfq last",) if is_legacy or backend == "jax" else tuple(IMPORTS)
if is_legacy:
    IMPORTS["through TensorFlow"] = "import tfq\nimport tensorflow as tf\nkeras = tf.keras"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model = trained(functional)
    model.save(folder / "model.keras")
    np.save(folder / "images.npy", IMAGES)
    np.save(folder / "outputs.npy", model.predict(IMAGES, verbose=0))
    return folder


@pytest.mark.parametrize(
    "imports", [pytest.param(IMPORTS[name], id=name, marks=[] if name in FAST else pytest.mark.slow) for name in IMPORTS]
)
def test_loading_needs_nothing_but_the_import_of_tfq(saved, imports):
    # Another process may split its sums over threads in another way, hence the tolerance.
    program = f"""{imports}
import numpy as np
model = keras.models.load_model("model.keras")
outputs = model.predict(np.load("images.npy"), verbose=0)
np.testing.assert_allclose(outputs, np.load("outputs.npy"), rtol=1e-5, atol=1e-5)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=saved, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
