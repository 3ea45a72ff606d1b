"""larq's names in models: strings, symbolic tensors, precision, warnings; what is saved is loaded by a process with tfq alone."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import array, tensor

from tfq import larq as lq
from tfq import quantizers
from tfq.backend.keras import is_legacy, keras, load_model
from tfq.constraints import WeightClip
from tfq.convert.from_keras import from_keras
from tfq.layers import QuantActivation, QuantConv2D, QuantDense, QuantKernel
from tfq.quantizers import DoReFaGradients, DoReFaInputs, LSQInputs, LSQWeights, XnorInputs, XnorWeights
from tfq.summary import layer_costs
from tfq.testing import check_quantizer

STRINGS = {
    "ste_sign": (quantizers.SteSign(), 1),
    "SteSign": (quantizers.SteSign(), 1),
    "approx_sign": (quantizers.ApproxSign(), 1),
    "ApproxSign": (quantizers.ApproxSign(), 1),
    "swish_sign": (quantizers.SwishSign(), 1),
    "SwishSign": (quantizers.SwishSign(), 1),
    "magnitude_aware_sign": (quantizers.MagnitudeAwareSign(), 1),
    "MagnitudeAwareSign": (quantizers.MagnitudeAwareSign(), 1),
    "ste_tern": (quantizers.SteTern(), 2),
    "SteTern": (quantizers.SteTern(), 2),
    "ste_heaviside": (quantizers.SteHeaviside(), 1),
    "SteHeaviside": (quantizers.SteHeaviside(), 1),
    "dorefa_quantizer": (DoReFaInputs(2), 2),
    "DoReFa": (DoReFaInputs(2), 2),
}
X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")


def saved(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(again(tensor(X))), array(model(tensor(X))))
    return again


# --- strings


@pytest.mark.parametrize("name", STRINGS)
def test_strings_of_quantizers(name):
    quantizer, bits = STRINGS[name]
    layer = QuantDense(3, kernel_quantizer=name, kernel_constraint="weight_clip")
    layer.build((None, 4))
    assert layer.kernel_quantizer == quantizer
    assert layer.kernel.precision == bits
    if quantizer.operand == "inputs":
        assert QuantDense(3, input_quantizer=name).input_quantizer == quantizer


@pytest.mark.parametrize("name", ["weight_clip", "WeightClip"])
def test_strings_of_constraints(name):
    layer = lq.layers.QuantDense(3, kernel_constraint=name)
    assert isinstance(layer.kernel_constraint, lq.constraints.WeightClip)
    assert lq.constraints.weight_clip is lq.constraints.WeightClip is WeightClip


@pytest.mark.parametrize(
    ("name", "function"), [("leaky_tanh", lq.activations.leaky_tanh), ("ste_sign", quantizers.SteSign()), ("relu", None)]
)
def test_strings_of_activations(name, function, tmp_path):
    layer = lq.layers.QuantConv2D(2, 3, activation=name)
    assert layer.activation == (function or keras.activations.relu)
    again = saved(keras.Sequential([keras.Input((8, 8, 3)), layer]), tmp_path)
    assert again.layers[-1].activation == layer.activation


def test_an_alias_of_ones_own():
    @lq.utils.register_alias("my_tern")
    @lq.utils.register_keras_custom_object
    class MyTern(lq.quantizers.Quantizer):
        precision = 2

        def call(self, inputs):
            return lq.quantizers.ste_tern(inputs, 0.5)

    layer = QuantDense(3, kernel_quantizer="my_tern")
    layer.build((None, 4))
    assert type(layer.kernel_quantizer) is MyTern
    assert (layer.kernel.precision, layer.kernel_quantizer.bits) == (2, 2)
    assert type(lq.quantizers.get("MyTern")) is MyTern
    np.testing.assert_array_equal(array(MyTern()(tensor([-1, 0.4, 0.6]))), [-1, 0, 1])
    assert lq.quantizers.Quantizer().bits == 32

    @lq.utils.register_alias("my_sign")
    @lq.utils.set_precision(1)
    def my_sign(x):
        return lq.math.sign(x)

    layer = QuantDense(3, kernel_quantizer="my_sign")
    layer.build((None, 4))
    assert layer.kernel.precision == 1
    with pytest.raises(ValueError, match="unknown quantizer 'QuantDense'"):
        quantizers.get("QuantDense")


# --- symbolic tensors


@pytest.mark.parametrize(
    "quantizer",
    [
        lq.quantizers.SteSign(1.3),
        lq.quantizers.SwishSign(),
        lq.quantizers.SteTern(),
        lq.quantizers.DoReFa(3),
        lq.quantizers.NoOp(precision=1),
        XnorInputs(),
        LSQInputs(2),
        DoReFaGradients(6, seed=1),
    ],
    ids=repr,
)
def test_a_symbolic_tensor_makes_a_layer(quantizer, tmp_path):
    x = keras.Input((8, 8, 3))
    y = quantizer(x)
    model = keras.Model(x, y)
    if not isinstance(quantizer, LSQInputs):
        expected = X if quantizer.operand == "gradient" else array(quantizer(tensor(X)))
        np.testing.assert_array_equal(array(model(tensor(X))), expected)
    model(tensor(X), training=True)
    saved(model, tmp_path)


@pytest.mark.parametrize(
    "function",
    [lq.activations.hard_tanh, lq.activations.leaky_tanh, lq.math.sign, lq.math.heaviside, lq.quantizers.approx_sign],
    ids=lambda function: function.__name__,
)
def test_a_function_takes_a_symbolic_tensor(function, tmp_path):
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, function(x))
    np.testing.assert_array_equal(array(model(tensor(3 * X))), array(function(tensor(3 * X))))
    saved(model, tmp_path)


def test_leaky_tanh_of_a_symbolic_tensor_has_its_slope():
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, lq.activations.leaky_tanh(x, alpha=0.5))
    np.testing.assert_array_equal(array(model(tensor(3 * X))), array(lq.activations.leaky_tanh(tensor(3 * X), 0.5)))


def test_a_layer_keeps_what_a_quantizer_learns():
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, LSQInputs(2)(x))
    assert len(model.trainable_weights) == 1
    assert type(model.layers[-1]) is QuantActivation


@pytest.mark.parametrize("quantizer", [XnorWeights(), LSQWeights(3), lq.quantizers.DoReFa(1, "weights")], ids=repr)
def test_a_kernel_that_is_computed(quantizer, tmp_path):
    x = keras.Input(batch_shape=(2, 8, 8, 3))
    options = {"channel_axis": (-2, -1)} if isinstance(quantizer, XnorWeights) else {}
    model = keras.Model(x, quantizer(x, **options))
    again = saved(model, tmp_path)
    assert type(again.layers[-1]) is QuantKernel
    if not isinstance(quantizer, LSQWeights):
        np.testing.assert_array_equal(array(model(tensor(X))), array(quantizer(tensor(X), **options)))


def test_a_size_that_is_not_known():
    x = keras.Input((None,))
    model = keras.Model(x, [quantizer(x) for quantizer in (lq.quantizers.MagnitudeAwareSign(), lq.quantizers.SteTern(0, True))])
    scaled, states = model(tensor([[1, -2], [3, 0.1]]))
    np.testing.assert_allclose(array(scaled), [[2, -1.05], [2, 1.05]], rtol=1e-6)
    np.testing.assert_array_equal(array(states), [[0, -1], [1, 0]])


# --- precision and warnings


def test_what_kernels_say_of_their_precision():
    noop = QuantDense(3, kernel_quantizer=lq.quantizers.NoOp(precision=1))
    plain, larger = QuantDense(3), QuantDense(3, kernel_quantizer=LSQWeights(4))
    separable = lq.layers.QuantSeparableConv2D(2, 3, depthwise_quantizer="ste_tern", pointwise_quantizer="xnor_weights")
    for layer in (noop, plain, larger):
        layer.build((None, 4))
    separable.build((None, 8, 8, 3))
    assert [getattr(layer.kernel, "precision", None) for layer in (noop, plain, larger)] == [1, None, 4]
    assert (separable.depthwise_kernel.precision, separable.pointwise_kernel.precision) == (2, 1)
    assert not hasattr(noop.bias, "precision")


def test_precision_comes_back_from_a_file(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), QuantConv2D(2, 3, kernel_quantizer=lq.quantizers.NoOp(precision=1))])
    assert saved(model, tmp_path).layers[-1].kernel.precision == 1


@pytest.mark.parametrize(
    ("cls", "size", "options", "argument"),
    [
        (QuantDense, (3,), {"kernel_quantizer": "ste_sign"}, "kernel_constraint"),
        (QuantDense, (3,), {"kernel_quantizer": XnorInputs()}, "kernel_constraint"),
        (QuantConv2D, (3, 3), {"kernel_quantizer": "approx_sign"}, "kernel_constraint"),
        (lq.layers.QuantDepthwiseConv2D, (3,), {"depthwise_quantizer": "ste_sign"}, "depthwise_constraint"),
        (lq.layers.QuantSeparableConv2D, (3, 3), {"pointwise_quantizer": "ste_sign"}, "pointwise_constraint"),
    ],
)
def test_a_binary_kernel_without_a_constraint_is_warned_of(cls, size, options, argument):
    with pytest.warns(UserWarning, match=rf"layer 'mine': .*\(.*\) without {argument} may starve weights") as caught:
        cls(*size, name="mine", **options)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cls(*size, **options, **{argument: "weight_clip"})


@pytest.mark.parametrize(
    "quantizer",
    [
        None,
        "xnor_weights",
        "swish_sign",
        "ste_tern",
        quantizers.SteSign(None),
        LSQWeights(2),
        lq.quantizers.NoOp(1),
        lq.math.sign,
    ],
)
def test_other_kernels_are_not(quantizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        QuantDense(3, kernel_quantizer=quantizer)


# --- layers and the contract


def test_a_depthwise_layer_by_larqs_name_of_its_quantizer(tmp_path):
    layer = lq.layers.QuantDepthwiseConv2D(
        3, depthwise_quantizer="ste_tern", input_quantizer="ste_sign", padding="same", pad_values=1.0
    )
    assert layer.depthwise_quantizer is layer.kernel_quantizer
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    again = saved(model, tmp_path)
    assert type(again.layers[-1]) is lq.layers.QuantDepthwiseConv2D
    assert again.layers[-1].depthwise_quantizer == quantizers.SteTern()
    with pytest.raises(TypeError, match="kernel_quantizer"):
        lq.layers.QuantDepthwiseConv2D(3, kernel_quantizer="ste_tern")


def test_locally_connected_layers_are_refused_by_name():
    for name in ("QuantLocallyConnected1D", "QuantLocallyConnected2D"):
        with pytest.raises(AttributeError, match=f"has no {name}: Keras 3 has no locally connected layers"):
            getattr(lq.layers, name)


@pytest.mark.parametrize(
    "quantizer",
    [
        lq.quantizers.SteSign(metrics=["flip_ratio"]),
        lq.quantizers.MagnitudeAwareSign(1.3),
        lq.quantizers.SteTern(0.4),
        lq.quantizers.DoReFa(3),
    ],
    ids=repr,
)
def test_they_keep_the_contract(quantizer):
    check_quantizer(quantizer)


def test_they_are_counted_and_exported():
    x = keras.Input((8, 8, 3))
    clip = {"kernel_constraint": "weight_clip"}
    y = lq.layers.QuantConv2D(4, 3, kernel_quantizer="magnitude_aware_sign", use_bias=False, **clip)(x)
    y = lq.layers.QuantConv2D(4, 3, kernel_quantizer="ste_heaviside", input_quantizer="approx_sign", use_bias=False, **clip)(y)
    y = lq.layers.QuantConv2D(4, 3, kernel_quantizer=lq.quantizers.SteTern(0.1), input_quantizer=lq.quantizers.DoReFa(2))(y)
    y = keras.layers.Flatten()(y)
    y = lq.layers.QuantDense(2, kernel_quantizer=lq.quantizers.DoReFa(3, "weights"), activation=lq.activations.hard_tanh)(y)
    model = keras.Model(x, y)
    costs = [cost for cost in layer_costs(model) if cost.weight_bits < 32]
    assert [(cost.input_bits, cost.weight_bits) for cost in costs] == [(32, 1), (1, 1), (2, 2), (32, 3)]
    kernels = [node.kernel for node in from_keras(model).nodes if hasattr(node, "kernel")]
    assert [(kernel.coding, kernel.bits) for kernel in kernels] == [("binary", 1), ("ternary", 2), ("ternary", 2), ("levels", 3)]


@pytest.mark.slow
def test_a_model_loads_in_a_process_that_imports_tfq_alone(tmp_path):
    quantizer = lq.quantizers.SteSign(metrics=["flip_ratio"])
    layer = lq.layers.QuantDepthwiseConv2D(3, depthwise_quantizer=quantizer, depthwise_constraint="weight_clip")
    keras.Sequential([keras.Input((8, 8, 3)), layer]).save(tmp_path / "model.keras")
    name = "tf_keras" if is_legacy else "keras"
    program = (
        f"import {name}, tfq; print({name}.models.load_model({str(tmp_path / 'model.keras')!r}).layers[-1].depthwise_quantizer)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert "SteSign(clip_value=1.0, metrics=['flip_ratio'])" in found.stdout
