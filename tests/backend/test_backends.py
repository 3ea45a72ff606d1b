"""Each layer of our networks and of the export, at odd and even sizes, against NumPy: so they are the same on every backend.

Continuous integration runs it on TensorFlow, tf_keras and JAX; on PyTorch it is run by hand (`KERAS_BACKEND=torch`).
"""

import functools

import numpy as np
import pytest
import runtime_oracle
from conftest import array, tensor
from random_models import disturb, randomize

from tfq.backend.keras import backend, is_legacy, keras
from tfq.convert.from_keras import Unsupported, from_keras
from tfq.convert.layers import CONVERTERS
from tfq.layers import (
    AveragePooling2D,
    BatchNormalization,
    QuantActivation,
    QuantConv1D,
    QuantConv1DTranspose,
    QuantConv2D,
    QuantConv2DTranspose,
    QuantDense,
    QuantDepthwiseConv1D,
    QuantDepthwiseConv2D,
    QuantGradient,
    QuantSeparableConv1D,
    QuantSeparableConv2D,
)
from tfq.quantizers import DoReFaGradients, DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights

L = keras.layers
XNOR = {"kernel_quantizer": XnorWeights(), "input_quantizer": XnorInputs(), "padding": "same"}
DOREFA = {"kernel_quantizer": DoReFaWeights(2), "input_quantizer": DoReFaInputs(2)}

# `randomize` gives them other weights: JAX compiles a random initializer for each shape.
Conv2D, Dense, Quantized, QuantizedDense = (
    functools.partial(cls, kernel_initializer="zeros") for cls in (L.Conv2D, L.Dense, QuantConv2D, QuantDense)
)

LAYERS = {
    "first convolution": lambda x: Conv2D(4, 5, padding="same")(x),
    "strided convolution": lambda x: Conv2D(4, 3, 2, padding="same")(x),
    "even kernel": lambda x: Conv2D(4, (2, 4), 2, padding="same", activation="relu")(x),
    "valid, dilated": lambda x: Conv2D(4, 3, dilation_rate=2)(x),
    "grouped": lambda x: Conv2D(4, 3, groups=2, padding="same")(x),
    "depthwise": lambda x: L.DepthwiseConv2D(3, 2, padding="same")(x),
    "depthwise, xnor": lambda x: QuantDepthwiseConv2D(3, depth_multiplier=2, **XNOR)(x),
    "xnor": lambda x: Quantized(4, 3, **XNOR)(x),
    "xnor, strided": lambda x: Quantized(4, 3, 2, **XNOR)(x),
    "xnor, padded with ones": lambda x: Quantized(4, 3, 2, **XNOR, pad_values=1)(x),
    "xnor, K": lambda x: Quantized(4, 3, 2, **XNOR, kmap=True)(x),
    "shortcut": lambda x: Quantized(4, 1, 2, kernel_quantizer=TernaryWeights(), padding="same")(x),
    "dorefa": lambda x: Quantized(4, 3, 2, **DOREFA, padding="same")(x),
    "max pool": lambda x: L.MaxPooling2D(3, 2, padding="same")(x),
    "max pool, valid": lambda x: L.MaxPooling2D(2)(x),
    "average pool": lambda x: AveragePooling2D(3, 2, padding="same")(x),
    "average pool, wide": lambda x: AveragePooling2D((4, 5), (3, 1), padding="same")(x),
    "average pool, valid": lambda x: AveragePooling2D(3, 2)(x),
    "average pool of Keras": lambda x: L.AveragePooling2D(3, 2)(x),
    "average pool of Keras, same": lambda x: L.AveragePooling2D(3, 2, padding="same")(x),
    "global max pool": lambda x: L.GlobalMaxPooling2D()(x),
    "global average pool": lambda x: L.GlobalAveragePooling2D(keepdims=True)(x),
    "normalization": lambda x: BatchNormalization()(x),
    "normalization of Keras": lambda x: L.BatchNormalization(scale=False)(x),
    "ReLU": lambda x: L.ReLU(max_value=1.0)(x),
    "activation": lambda x: L.Activation("relu")(x),
    "signs": lambda x: QuantActivation(XnorInputs())(x),
    "levels": lambda x: QuantActivation(DoReFaInputs(4))(x),
    "rescaling": lambda x: L.Rescaling(0.5, offset=-1.0)(x),
    "pixel normalization": lambda x: L.Normalization(mean=[0.5, 1.0, -1.0, 0.0], variance=[1.0, 4.0, 0.25, 2.0])(x),
    "zero padding": lambda x: L.ZeroPadding2D(((0, 1), (2, 0)))(x),
    "sum": lambda x: L.Add()([x, L.ReLU()(x)]),
    "concatenation": lambda x: L.Concatenate()([x, L.ReLU()(x)]),
    "flattened": lambda x: Dense(3)(L.Flatten()(x)),
    "reshaped": lambda x: QuantizedDense(3, **DOREFA)(L.Reshape((-1,))(x)),
    "gradient": lambda x: L.ReLU()(QuantGradient(DoReFaGradients(2, seed=1))(x)),
}
# One of both kinds where compiling takes the time.
SIZES = [(7, 8)] if backend == "jax" or is_legacy else [(7, 7), (8, 8)]


# test_export_convolutions.py compares those of sequences, separable and transposed ones with their graphs, on each backend too.
ELSEWHERE = {
    *(QuantConv1D, QuantConv1DTranspose, QuantConv2DTranspose, QuantDepthwiseConv1D, QuantSeparableConv1D, QuantSeparableConv2D),
    *(L.Conv1D, L.Conv1DTranspose, L.Conv2DTranspose, L.DepthwiseConv1D, L.SeparableConv1D, L.SeparableConv2D),
    *(L.MaxPooling1D, L.AveragePooling1D, L.GlobalMaxPooling1D, L.GlobalAveragePooling1D, L.ZeroPadding1D),
}


def is_refused(name, size):
    return backend == "torch" and name == "average pool of Keras, same" and size != (7, 7)


@functools.cache
def computed(size):
    """Images, and of each layer a model and its outputs for them. All in one program, since compiling takes the time."""
    x = keras.Input((*size, 4))
    outputs = {name: layer(x) for name, layer in LAYERS.items()}
    model = keras.Model(x, list(outputs.values()))
    rng = np.random.default_rng(0)
    randomize(model, rng)
    disturb(model, rng)
    images = rng.normal(size=(2, *size, 4)).astype("float32")
    found = model.predict(images, verbose=0)
    return images, {name: (keras.Model(x, y), array) for (name, y), array in zip(outputs.items(), found, strict=True)}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_same_on_every_backend(name, size):
    images, results = computed(size)
    model, outputs = results[name]
    if is_refused(name, size):
        with pytest.raises(Unsupported, match=r"'average.*repeats their edge on PyTorch.*: take tfq.layers.AveragePooling2D"):
            from_keras(model)
        return
    np.testing.assert_allclose(outputs, runtime_oracle.run(from_keras(model), images), rtol=1e-5, atol=1e-5)


def test_every_layer_of_the_export_is_here():
    _, results = computed(SIZES[0])
    met = {type(layer) for model, _ in results.values() for layer in model.layers}
    nothing = {kind for kind, convert in CONVERTERS.items() if convert is CONVERTERS[L.Dropout]}
    assert set(CONVERTERS) - met - ELSEWHERE <= nothing
    assert L.Dense not in nothing


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_average_pooling_with_channels_first_and_unknown_sizes(size):
    x = np.random.default_rng(1).normal(size=(2, *size, 3)).astype("float32")
    expected = array(AveragePooling2D(3, 2, padding="same")(tensor(x)))
    if backend != "tensorflow":  # whose kernels for processors know the last axis alone
        first = AveragePooling2D(3, 2, padding="same", data_format="channels_first")(tensor(x.transpose(0, 3, 1, 2)))
        np.testing.assert_allclose(array(first).transpose(0, 2, 3, 1), expected, rtol=1e-6, atol=1e-6)
    model = keras.Sequential([keras.Input((None, None, 3)), AveragePooling2D(3, 2, padding="same")])
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-6, atol=1e-6)


def test_a_layer_that_pools_is_saved(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), AveragePooling2D(3, 2, padding="same")])
    model.save(tmp_path / "model.keras")
    assert type(keras.models.load_model(tmp_path / "model.keras").layers[0]) is AveragePooling2D
