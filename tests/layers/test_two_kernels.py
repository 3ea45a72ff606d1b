"""A layer with two kernels: whoever asks for the kernels of a layer sees both."""

import numpy as np
import pytest
from conftest import array

from tfq.backend.keras import keras, weight_name
from tfq.callbacks import FlipRatio
from tfq.layers import QuantDense, QuantSeparableConv2D
from tfq.layers.kernels import kernels_in, kernels_of
from tfq.quantizers import LSQWeights, TernaryWeights, XnorWeights
from tfq.training import optimizers, transfer

X = np.random.default_rng(0).normal(size=(8, 5, 5, 3)).astype("float32")
NAMES = ["sep/depthwise_kernel", "sep/pointwise_kernel", "dense"]


def network(quantized=True):
    if quantized:
        separable = QuantSeparableConv2D(
            4,
            3,
            depthwise_quantizer=XnorWeights(),
            pointwise_quantizer=TernaryWeights(),
            input_quantizer="xnor_inputs",
            name="sep",
        )
        dense = QuantDense(2, kernel_quantizer="xnor_weights", name="dense")
    else:
        separable, dense = keras.layers.SeparableConv2D(4, 3, name="sep"), keras.layers.Dense(2, name="dense")
    return keras.Sequential([keras.Input(X.shape[1:]), separable, keras.layers.Flatten(), dense])


def test_each_kernel_has_a_name_and_its_quantizer():
    kernels = kernels_in(network())
    assert list(kernels) == NAMES
    assert [type(kernel.quantizer) for kernel in kernels.values()] == [XnorWeights, TernaryWeights, XnorWeights]
    assert [len(kernel.latent.shape) for kernel in kernels.values()] == [4, 4, 2]


def test_one_kernel_that_is_not_quantized_is_said():
    class Halfway(QuantSeparableConv2D):
        def quantized_op(self, inputs, depthwise_kernel, pointwise_kernel):
            return super().quantized_op(inputs, depthwise_kernel, self.pointwise_kernel)

    class Careless(QuantSeparableConv2D):
        def call(self, inputs, training=None):
            return self.quantized_op(inputs, self.kernels[0].quantized, self.pointwise_kernel)

    for cls in (Halfway, Careless):
        options = {"depthwise_quantizer": XnorWeights(), "name": "sep"}
        assert cls(4, 3, **options)(X).shape == (8, 3, 3, 4)
        with pytest.raises(RuntimeError, match=r"its pointwise_kernel did not pass through pointwise_quantizer=XnorWeights\("):
            cls(4, 3, pointwise_quantizer=XnorWeights(), **options)(X)


def test_codes_and_scales_give_each_quantized_kernel():
    for kernel in network().get_layer("sep").kernels:
        np.testing.assert_allclose(kernel.codes.values(), array(kernel.quantized), rtol=1e-6)


def test_kernels_of_layers_of_keras():
    layer = keras.layers.SeparableConv2D(4, 3)
    assert kernels_of(layer) == ()
    layer.build(X.shape)
    assert [kernel.name for kernel in kernels_of(layer)] == ["depthwise_kernel", "pointwise_kernel"]
    for kernel in kernels_of(layer):
        assert (kernel.quantizer, kernel.codes) == (None, None)
        np.testing.assert_array_equal(array(kernel.quantized), array(kernel.latent))
    assert kernels_of(keras.layers.ReLU()) == ()


@pytest.mark.legacy_only
def test_kernels_of_layers_of_larq():
    larq = pytest.importorskip("larq")
    layer = larq.layers.QuantSeparableConv2D(4, 3, depthwise_quantizer="ste_sign", pointwise_quantizer="ste_tern")
    assert [type(kernel.quantizer).__name__ for kernel in kernels_of(layer)] == ["SteSign", "SteTern"]
    layer.build(X.shape)
    depthwise, pointwise = kernels_of(layer)
    assert set(np.unique(array(depthwise.quantized))) == {-1, 1}
    assert set(np.unique(array(pointwise.quantized))) <= {-1, 0, 1}


def test_flips_of_each_kernel_are_counted():
    class Flip(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            depthwise, pointwise = (kernel.latent for kernel in self.model.get_layer("sep").kernels)
            depthwise.assign(-depthwise)
            pointwise.assign(0 * pointwise)

    model, flips = network(), FlipRatio()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    nonzero = np.mean(model.get_layer("sep").kernels[1].codes.codes != 0)
    model.fit(X, np.zeros((8, 2)), batch_size=8, verbose=0, callbacks=[Flip(), flips])
    assert list(flips.ratios) == NAMES
    assert list(flips.ratios.values()) == [1, pytest.approx(nonzero), 0]


def test_weight_decay_spares_the_binary_one_alone():
    model = network()
    names = [weight_name(weight) for weight in optimizers._spared(model)]
    assert names == ["depthwise_kernel", "bias", "kernel", "bias"]  # the ternary pointwise one decays


def test_a_float_network_starts_both_kernels(tmp_path):
    donor, model = network(quantized=False), network()
    donor.save(tmp_path / "float.keras")
    assert transfer.initialize(model, tmp_path / "float.keras") == []
    for ours, theirs in zip(kernels_in(model).values(), kernels_in(donor).values(), strict=True):
        np.testing.assert_array_equal(array(ours.latent), array(theirs.latent))


def test_what_each_quantizer_keeps_is_saved(tmp_path):
    options = {"depthwise_quantizer": LSQWeights(2), "pointwise_quantizer": LSQWeights(4), "name": "sep"}
    model = keras.Sequential([keras.Input(X.shape[1:]), QuantSeparableConv2D(4, 3, **options)])
    for number, weight in enumerate(model.weights):
        weight.assign(weight + number)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    steps = [kernel.state.variables_by_name for kernel in again.get_layer("sep").kernels]
    assert steps[0].keys() == steps[1].keys() > set()
    assert len(again.weights) == 3 + sum(map(len, steps))
    for found, expected in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(array(found), array(expected))


@pytest.mark.tensorflow_only
def test_a_saved_model_holds_both_quantized_kernels(tmp_path):
    from tfq.export.formats.savedmodel import SavedModel
    from tfq.export.frozen import frozen_kernels

    model = network()
    with frozen_kernels(model) as frozen:
        for variable, kernel in zip(frozen, kernels_in(model).values(), strict=True):
            np.testing.assert_array_equal(variable.numpy(), array(kernel.quantized))
            assert kernel.quantizer(None) is not None  # it gives the numbers, whatever it is called with
    assert [type(kernel.quantizer) for kernel in kernels_in(model).values()] == [XnorWeights, TernaryWeights, XnorWeights]
    SavedModel().save(model, tmp_path)
    assert SavedModel().in_float(model) == tuple(NAMES)
    np.testing.assert_allclose(SavedModel().load(tmp_path)(X), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
