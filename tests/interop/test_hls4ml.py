"""Layers of tfq in hls4ml's C simulation, by g++: `make test-fpga`, in an environment of its own."""

import numpy as np
import pytest

from tfq.backend.keras import keras
from tfq.layers import BatchNormalization, QuantActivation, QuantConv2D, QuantDense
from tfq.quantizers import DoReFaInputs, DoReFaWeights, LSQInputs, LSQWeights, TernaryWeights, XnorInputs, XnorWeights

hls4ml = pytest.importorskip("hls4ml", reason="needs hls4ml: make test-fpga")
pytestmark = [pytest.mark.slow, pytest.mark.keras3_only, pytest.mark.tensorflow_only]

# Of fixed<32,16> and scales of 18 bits; a value near a boundary of its quantizer may be rounded to its other side.
CLOSE = 5e-3
METHODS = {
    "binary": (XnorInputs, XnorWeights),
    "ternary": (lambda: None, TernaryWeights),
    "ternary_a1": (XnorInputs, TernaryWeights),
    "a1w1": (lambda: DoReFaInputs(1), lambda: DoReFaWeights(1)),
    "a2w2": (lambda: DoReFaInputs(2), lambda: DoReFaWeights(2)),
    "lsq": (lambda: LSQInputs(3), lambda: LSQWeights(3)),
}


def network(inputs, weights, padding="valid"):
    """A fork of a normalized tensor, scales of both signs, and every layer that is registered."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 3))
    y = BatchNormalization(name="bn0")(keras.layers.Conv2D(6, 3, padding="same", use_bias=False, name="first")(x))
    how = {"kernel_quantizer": weights(), "use_bias": False, "padding": padding, "name": "conv"}
    z = BatchNormalization(name="bn1")(QuantConv2D(6, 3, input_quantizer=inputs(), **how)(y))
    z = keras.layers.Add(name="sum")([z, y]) if padding == "same" else z
    z = z if inputs() is None else QuantActivation(inputs(), name="act")(z)
    z = QuantDense(5, kernel_quantizer=weights(), name="dense")(keras.layers.Flatten(name="flat")(z))
    model = keras.Model(x, keras.layers.Dense(4, name="head")(BatchNormalization(name="bn2")(z)))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            shape = layer.gamma.shape
            gamma = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)
            layer.set_weights([gamma, *rng.normal(0, 0.3, (2, *shape)), rng.uniform(0.5, 1.5, shape)])
    return model


def project(model, folder):
    import tfq.interop.hls4ml  # noqa: F401, which registers the layers

    config = hls4ml.utils.config_from_keras_model(model, granularity="name", default_precision="fixed<32,16>")
    return hls4ml.converters.convert_from_keras_model(model, hls_config=config, output_dir=str(folder), backend="Vitis")


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("method", METHODS)
def test_the_c_simulation_computes_what_keras_does(method, padding, tmp_path):
    model = network(*METHODS[method], padding)
    images = np.random.default_rng(1).normal(size=(64, 6, 6, 3)).astype(np.float32)
    expected = model.predict(images, verbose=0)
    simulated = project(model, tmp_path)
    simulated.compile()
    difference = np.abs(simulated.predict(images) - expected).max(axis=1) / np.abs(expected).max()
    assert np.median(difference) < CLOSE / 10
    assert np.mean(difference > CLOSE) < 0.1


def test_what_hls4ml_has_no_form_for_is_refused_by_name(tmp_path):
    x = keras.Input((6, 6, 3))
    padded = QuantConv2D(
        2, 3, padding="same", pad_values=1, input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights(), name="c"
    )
    with pytest.raises(ValueError, match=r"layer 'c' \(QuantConv2D\) cannot be packed: .* without dilation, kmap and pad_values"):
        project(keras.Model(x, padded(x)), tmp_path)
