"""tfq's quantizers in larq's own layers: values, gradients, and what larq asks of a quantizer, against tfq's layers."""

import numpy as np
import pytest
from conftest import layer_vjp, tensor

from tfq import layers
from tfq.backend.keras import add_custom_objects, is_legacy, keras
from tfq.quantizers import DoReFaInputs, DoReFaWeights, LSQWeights, TernaryWeights, XnorInputs, XnorWeights

if not is_legacy:
    pytest.skip("larq is for tf_keras", allow_module_level=True)
larq = pytest.importorskip("larq")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 6, 6, 3)).astype("float32")
KERNELS = [XnorWeights(), TernaryWeights(per_filter=True), DoReFaWeights(1), DoReFaWeights(3)]


def kind(x):
    return type(x).__name__


def pair(name, args, input_quantizer, **kernels):
    """Layers of larq and of tfq with the same weights."""
    made = []
    for module in (larq.layers, layers):
        keras.utils.set_random_seed(0)
        layer = getattr(module, name)(*args, input_quantizer=input_quantizer, name="x", **kernels)
        layer.build(X.shape)
        made.append(layer)
    return made


def expect_equal(theirs, ours):
    upstream = RNG.normal(size=tuple(ours(X).shape)).astype("float32")
    (found, gradients), (expected, of_ours) = (layer_vjp(layer, X, upstream) for layer in (theirs, ours))
    np.testing.assert_array_equal(found, expected)
    assert len(gradients) == len(of_ours)
    for a, b in zip(gradients, of_ours, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.any(gradients[1])


@pytest.mark.parametrize("kernel_quantizer", KERNELS, ids=kind)
@pytest.mark.parametrize(("name", "args"), [("QuantConv2D", (4, 3)), ("QuantDense", (4,))], ids=["convolution", "dense"])
def test_values_and_gradients_are_those_of_our_layer(name, args, kernel_quantizer):
    expect_equal(*pair(name, args, XnorInputs(), kernel_quantizer=kernel_quantizer))


@pytest.mark.parametrize("quantizer", [DoReFaWeights(1), DoReFaWeights(3), TernaryWeights()], ids=kind)
def test_so_are_those_of_larqs_depthwise_convolution(quantizer):
    """Which does not tell a quantizer where its filters are: without scales a filter it is the same."""
    theirs = larq.layers.QuantDepthwiseConv2D(3, input_quantizer=DoReFaInputs(2), depthwise_quantizer=quantizer)
    ours = layers.QuantDepthwiseConv2D(3, input_quantizer=DoReFaInputs(2), kernel_quantizer=quantizer)
    for layer in (theirs, ours):
        layer.build(X.shape)
    ours.set_weights(theirs.get_weights())
    expect_equal(theirs, ours)


def test_a_quantizer_that_keeps_something_says_that_it_needs_a_layer_of_tfq():
    layer = larq.layers.QuantDense(2, kernel_quantizer=LSQWeights(4))
    with pytest.raises(ValueError, match=r"LSQWeights\(bits=4\) keeps a step for each layer: give it to a layer of tfq"):
        layer(tensor(np.ones((1, 3))))


@pytest.mark.parametrize("name", ["QuantDense", "QuantConv2D", "QuantDepthwiseConv2D", "WeightClip", "SteSign"])
def test_a_name_of_larq_stays_larqs_where_larq_was_imported_first(name):
    known = keras.saving.get_custom_objects()
    before = known[name]
    add_custom_objects({name: type("Ours", (), {}), "NoNameOfLarq": layers.QuantDense})  # as each class of tfq does
    try:
        assert known[name] is before
        assert before.__module__.startswith("larq.")
        assert known["NoNameOfLarq"] is layers.QuantDense
    finally:
        del known["NoNameOfLarq"]


def test_a_model_of_larqs_layers_learns_and_comes_back_from_a_file(tmp_path):
    kernel_quantizer = DoReFaWeights(3)
    options = {"input_quantizer": XnorInputs(), "kernel_quantizer": kernel_quantizer, "kernel_constraint": "weight_clip"}
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            larq.layers.QuantConv2D(4, 3, **options),
            keras.layers.Flatten(),
            larq.layers.QuantDense(2, **options),
        ]
    )
    before = model.get_weights()
    model.compile("adam", "mse")
    model.fit(X, np.ones((2, 2), "float32"), verbose=0)
    assert all(np.any(a != b) for a, b in zip(before[::2], model.get_weights()[::2], strict=True))  # both kernels
    model.save(tmp_path / "model.h5")
    again = keras.models.load_model(tmp_path / "model.h5")
    assert again.layers[0].kernel_quantizer == kernel_quantizer
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
