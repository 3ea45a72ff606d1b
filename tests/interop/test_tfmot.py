"""Quantizers of tfq in tfmot: annotated layers compute and learn as tfq's own layers do."""

import sys

import numpy as np
import pytest
from conftest import array

from tfq import layers
from tfq.backend.keras import is_legacy, keras
from tfq.quantizers import DoReFaInputs, DoReFaWeights, LSQInputs, LSQWeights, TernaryWeights, XnorInputs, XnorWeights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 6, 3)).astype("float32")
Y = RNG.normal(size=(4, 2)).astype("float32")

if is_legacy:
    tfmot = pytest.importorskip("tensorflow_model_optimization").quantization.keras
    from tfq.interop.tfmot import TfqQuantizeConfig, TfqQuantizer, TfqQuantizeScheme

PAIRS = [
    (keras.layers.Conv2D, layers.QuantConv2D, (4, 3), LSQWeights(3)),
    (keras.layers.DepthwiseConv2D, layers.QuantDepthwiseConv2D, (3,), XnorWeights()),
    (keras.layers.Conv2DTranspose, layers.QuantConv2DTranspose, (4, 2), XnorWeights()),
    (keras.layers.SeparableConv2D, layers.QuantSeparableConv2D, (4, 3), LSQWeights(3)),
]


@pytest.mark.keras3_only
def test_it_is_for_tf_keras():
    with pytest.raises(ImportError, match=r"tfmot, which knows tf_keras alone: set TF_USE_LEGACY_KERAS=1"):
        import tfq.interop.tfmot  # noqa: F401


@pytest.mark.legacy_only
def test_a_missing_tfmot_is_said_with_its_extra(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tfq.interop.tfmot")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    with pytest.raises(ImportError, match=r"needs `tensorflow_model_optimization`, .*tfq\[tfmot\]"):
        import tfq.interop.tfmot  # noqa: F401


def annotated(layer, **quantizers):
    return tfmot.quantize_annotate_layer(layer, TfqQuantizeConfig(**quantizers))


def applied(model):
    with tfmot.quantize_scope():
        return tfmot.quantize_apply(model, TfqQuantizeScheme())


def stepped(model):
    """Outputs, and the trainable weights after a step with a rate of 1."""
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = model.predict(X, verbose=0)
    model.train_on_batch(X, Y)
    return before, {weight.name.split("/")[-1]: array(weight) for weight in model.trainable_weights}


@pytest.mark.legacy_only
@pytest.mark.parametrize(("stock", "ours", "args", "quantizer"), PAIRS, ids=lambda x: getattr(x, "__name__", ""))
def test_a_step_is_that_of_our_own_layer(stock, ours, args, quantizer):
    kernels = {place.quantizer: quantizer for place in ours.kernel_places()}

    def model(layer):
        return keras.Sequential([keras.Input(X.shape[1:]), layer, keras.layers.GlobalAveragePooling2D(), head()])

    def head():
        return keras.layers.Dense(2, kernel_initializer="ones", use_bias=False, trainable=False, name="head")

    keras.utils.set_random_seed(0)
    plain = model(annotated(stock(*args, name="x"), kernel_quantizer=quantizer))
    theirs, own = applied(plain), model(ours(*args, **kernels, name="x"))
    values = {weight.name.split("/")[-1]: array(weight) for weight in plain.layers[0].weights}
    for weight in own.layers[0].weights:
        if weight.name.split("/")[-1] in values:
            weight.assign(values[weight.name.split("/")[-1]])
    (found, moved), (expected, of_own) = stepped(theirs), stepped(own)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert len(theirs.layers) == 3
    names = {place.weight + ":0" for place in ours.kernel_places()} | {"bias:0"}
    assert names <= set(moved) & set(of_own)
    for name in names:
        np.testing.assert_allclose(moved[name], of_own[name], rtol=1e-5, atol=1e-6)
        assert not np.array_equal(moved[name], values[name])
    learned = len([name for name in moved if "step_change" in name])
    assert learned == (len(kernels) if isinstance(quantizer, LSQWeights) else 0)


def network():
    layers_ = [
        annotated(keras.layers.Conv2D(4, 3, name="first"), kernel_quantizer=TernaryWeights()),
        keras.layers.BatchNormalization(name="norm"),
        annotated(keras.layers.Activation("linear", name="levels"), output_quantizer=DoReFaInputs(2)),
        keras.layers.Flatten(),
        annotated(
            keras.layers.Dense(5, activation="linear", name="second"),
            kernel_quantizer=LSQWeights(4),
            activation_quantizer=LSQInputs(4),
        ),
        annotated(keras.layers.Dense(2, name="head"), kernel_quantizer="xnor_weights"),
    ]
    return applied(keras.Sequential([keras.Input(X.shape[1:]), *layers_]))


@pytest.mark.legacy_only
def test_what_is_annotated_is_quantized_and_comes_back_from_a_file(tmp_path):
    model = network()
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    between = keras.Model(model.inputs, [model.get_layer(f"quant_{name}").output for name in ("levels", "second")])
    levels, activations = between.predict(X, verbose=0)
    np.testing.assert_allclose(np.unique(levels), [0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    assert len(np.unique(activations)) <= 16
    model.save(tmp_path / "model.h5")  # tfmot does not read its own wrappers from a .keras file
    with tfmot.quantize_scope():
        again = keras.models.load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.legacy_only
def test_a_layer_without_a_configuration_is_refused():
    model = keras.Sequential([keras.Input((4,)), tfmot.quantize_annotate_layer(keras.layers.Dense(2))])
    with pytest.raises(RuntimeError, match="is not supported"):
        applied(model)


@pytest.mark.legacy_only
def test_the_default_scheme_takes_the_configuration_too():
    config = TfqQuantizeConfig(TernaryWeights())
    model = keras.Sequential([keras.Input((4,)), tfmot.quantize_annotate_layer(keras.layers.Dense(2, name="x"), config)])
    with tfmot.quantize_scope():
        model = tfmot.quantize_apply(model)
    assert model.get_layer("quant_x").quantize_config == config


@pytest.mark.legacy_only
def test_configurations_are_equal_where_their_quantizers_are():
    config = TfqQuantizeConfig(DoReFaWeights(2), activation_quantizer=DoReFaInputs(2))
    assert config == TfqQuantizeConfig.from_config(config.get_config()) != TfqQuantizeConfig(DoReFaWeights(2))
    quantizer = TfqQuantizer(XnorWeights(), (-2, -1))
    assert quantizer == TfqQuantizer(**quantizer.get_config()) == TfqQuantizer(XnorWeights(), [-2, -1])


@pytest.mark.legacy_only
def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="input_quantizer must quantize inputs"):
        TfqQuantizeConfig(activation_quantizer=XnorWeights())
    with pytest.raises(ValueError, match="expected a quantizer of tfq; got quantizer=None"):
        TfqQuantizer(None)
    assert TfqQuantizer(XnorInputs(), -1).channel_axis == -1
    config = TfqQuantizeConfig(XnorWeights())
    for layer in (keras.layers.ReLU(), layers.QuantDense(2)):
        with pytest.raises(ValueError, match=r"expected a layer of Keras whose kernel tfq can quantize, Conv1D, .*; got <"):
            config.get_weights_and_quantizers(layer)
