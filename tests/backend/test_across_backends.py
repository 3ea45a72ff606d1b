"""Values and gradients of every quantizer and layer are those of TensorFlow, on every backend.

`tests/data/across_backends.npz` holds TensorFlow's. After a new quantizer or layer, this file run as a program writes it again:

    PYTHONPATH=.:tests python tests/backend/test_across_backends.py

Each backend adds sums of up to some hundred products in an order of its own. That is worth a few units of the last of 24 bits of
the largest term, hence the tolerance of 1e-5 of the largest value. Levels and signs are equal otherwise: no operand lies so near
to a boundary that rounding decides. Noise of gradients is each backend's own.
"""

import math
from pathlib import Path

import every_quantizer
import numpy as np
import pytest
from conftest import layer_vjp

from tfq import layers, quantizers
from tfq.backend.keras import backend, keras

FILE = Path(__file__).resolve().parent.parent / "data" / "across_backends.npz"
TOLERANCE = 1e-5

IMAGES = (2, 5, 6, 4)
SEQUENCES, VOLUMES = (2, 6, 4), (2, 3, 4, 4, 2)
FEATURES = (3, 8)
LAYERS = {
    "QuantConv1D": ((3, 2), {"padding": "causal"}, SEQUENCES),
    "QuantConv1DTranspose": ((3, 2), {"strides": 2}, SEQUENCES),
    "QuantConv2D": ((4, 3), {"strides": 2, "padding": "same", "pad_values": 1}, IMAGES),
    "QuantConv2DTranspose": ((3, 3), {"strides": 2, "padding": "same"}, IMAGES),
    "QuantConv3D": ((3, 2), {}, VOLUMES),
    "QuantConv3DTranspose": ((3, 2), {"strides": 2}, VOLUMES),
    "QuantDense": ((4,), {"activation": "tanh"}, FEATURES),
    "QuantDepthwiseConv1D": ((3,), {"depth_multiplier": 2}, SEQUENCES),
    "QuantDepthwiseConv2D": ((3,), {"depth_multiplier": 2, "padding": "same"}, IMAGES),
    "QuantEinsumDense": (("abc,cd->abd",), {"output_shape": (6, 3), "bias_axes": "d"}, SEQUENCES),
    "QuantSeparableConv1D": ((3, 2), {}, SEQUENCES),
    "QuantSeparableConv2D": ((3, 3), {"padding": "same"}, IMAGES),
    "QuantActivation": ((quantizers.DoReFaInputs(2),), {}, IMAGES),
    "QuantGradient": ((quantizers.DoReFaGradients(32),), {}, IMAGES),
    "QuantKernel": ((quantizers.XnorWeights(),), {}, FEATURES),
    "RPReLU": ((), {}, IMAGES),
    "BatchNormalization": ((), {}, IMAGES),
    "AveragePooling2D": ((3, 2), {"padding": "same"}, IMAGES),
}
QUANTIZERS = {repr(quantizer): quantizer for quantizer in every_quantizer.ALL if quantizer.operand != "gradient"}


def away_from_boundaries(shape, seed):
    """Values around the levels of three bits in [-1, 1], none in the middle between two."""
    generator = np.random.default_rng(seed)
    return (generator.integers(-7, 8, shape) + generator.uniform(0.1, 0.3, shape)) / 7


def of_layer(layer, shape):
    """Outputs in training, and gradients for the inputs and for each trainable weight."""
    layer.build(shape)
    for number, weight in enumerate(layer.trainable_weights):
        if len(weight.shape):  # steps start as they do
            weight.assign(np.random.default_rng(number).uniform(0.1, 1, weight.shape) * _signs(weight.shape))
    x = away_from_boundaries(shape, 1)
    upstream = np.random.default_rng(2).normal(size=tuple(layer.compute_output_shape(shape)))
    output, gradients = layer_vjp(layer, x, upstream)
    return [output, *gradients]


def _signs(shape):
    return np.where(np.arange(math.prod(shape)).reshape(tuple(shape)) % 3, 1, -1)


def result_of_layer(name):
    args, options, shape = LAYERS[name]
    cls = getattr(layers, name)
    if issubclass(cls, layers.QuantizedLayer):
        kernels = {place.quantizer: quantizers.XnorWeights() for place in cls.kernel_places()}
        options = {**options, **kernels, "input_quantizer": quantizers.DoReFaInputs(3)}
    return of_layer(cls(*args, **options), shape)


def result_of_quantizer(name):
    quantizer = QUANTIZERS[name]
    if quantizer.operand == "kernel":
        return of_layer(layers.QuantDense(4, kernel_quantizer=quantizer), FEATURES)
    return of_layer(layers.QuantActivation(quantizer), FEATURES)


@pytest.fixture(scope="module")
def expected():
    with np.load(FILE) as file:
        return dict(file)


def expect(found, expected, name):
    assert f"{name}/0" in expected, f"{FILE.name} has no {name!r}: write it again, as said in this file"
    for number, array in enumerate(found):
        of_tensorflow = expected[f"{name}/{number}"]
        assert array.shape == of_tensorflow.shape
        np.testing.assert_allclose(array, of_tensorflow, rtol=0, atol=TOLERANCE * max(np.abs(of_tensorflow).max(), 1e-3))


def layers_here():
    """All; on JAX, which compiles each operation by itself for a minute, most of them with the slow tests."""
    fast = ("QuantConv2D", "QuantDense", "QuantActivation", "BatchNormalization")
    return [pytest.param(name, marks=[pytest.mark.slow] * (backend == "jax" and name not in fast)) for name in LAYERS]


@pytest.mark.parametrize("name", layers_here())
def test_a_layer_is_that_of_tensorflow(name, expected):
    expect(result_of_layer(name), expected, name)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_quantizer_is_that_of_tensorflow(name, expected):
    expect(result_of_quantizer(name), expected, name)


def test_every_layer_is_here():
    public = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    assert {name for name in public if issubclass(getattr(layers, name), keras.layers.Layer)} == set(LAYERS)


if __name__ == "__main__":
    results = {name: result_of_layer(name) for name in LAYERS} | {name: result_of_quantizer(name) for name in QUANTIZERS}
    arrays = {f"{name}/{number}": array for name, given in results.items() for number, array in enumerate(given)}
    np.savez_compressed(FILE, **arrays)
