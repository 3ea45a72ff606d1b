"""Configurations: round trips, names, equality and errors."""

import functools
import json

import every_quantizer
import numpy as np
import pytest

from tfq import quantizers
from tfq.backend.keras import keras
from tfq.layers import QuantActivation, QuantConv2D, QuantDense, QuantGradient
from tfq.quantizers import (
    DoReFaGradients,
    DoReFaInputs,
    DoReFaWeights,
    ExactGradient,
    Quantizer,
    TernaryWeights,
    XnorInputs,
    XnorWeights,
)

ALL = [*every_quantizer.ALL, DoReFaWeights(3, differentiate_max=True), DoReFaGradients(6)]


@pytest.mark.parametrize("quantizer", ALL, ids=repr)
def test_round_trip_through_json(quantizer):
    again = quantizers.get(json.loads(json.dumps(quantizers.serialize(quantizer))))
    assert type(again) is type(quantizer)
    assert again == quantizer
    assert hash(again) == hash(quantizer)
    assert again.get_config() == quantizer.get_config()
    assert type(quantizer).from_config(quantizer.get_config()) == quantizer


def test_quantizers_are_equal_by_configuration_only():
    assert len(set(ALL)) == len(ALL)
    assert {XnorWeights(): 1}[XnorWeights(gradient=ExactGradient())] == 1
    assert DoReFaWeights(3) != DoReFaInputs(3)
    assert DoReFaWeights(3) != 3


def test_repr_shows_the_arguments():
    assert repr(DoReFaWeights(3)) == "DoReFaWeights(bits=3, differentiate_max=False)"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("xnor_weights", XnorWeights()),
        ("XnorWeights", XnorWeights()),
        ("xnor_inputs", XnorInputs()),
        ("XnorInputs", XnorInputs()),
        ("ternary_weights", TernaryWeights()),
        ("TernaryWeights", TernaryWeights()),
    ],
)
def test_names(name, expected):
    assert quantizers.get(name) == expected


@pytest.mark.parametrize("name", ["dorefa_weights", "DoReFaInputs", "dorefa_gradients"])
def test_a_name_without_its_bits_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name}.*number of bits.*\(bits=2\)"):
        quantizers.get(name)


def test_get_passes_objects_through():
    def double(x):
        return 2 * x

    quantizer = XnorInputs()
    assert quantizers.get(quantizer) is quantizer
    assert quantizers.get(double) is double
    assert quantizers.get(None) is None
    assert quantizers.serialize(None) is None


@pytest.mark.parametrize("identifier", ["sign", "", "xnorweights"])
def test_an_unknown_name_is_refused_with_the_known_ones(identifier):
    with pytest.raises(ValueError, match=rf"unknown quantizer {identifier!r}; known are xnor_weights, .*dorefa_gradients"):
        quantizers.get(identifier)


@pytest.mark.parametrize("identifier", [3, 1.5, True, XnorWeights, ["xnor_weights"], ExactGradient()])
def test_anything_else_is_refused(identifier):
    with pytest.raises(ValueError, match="expected a quantizer, its name, its configuration or None; got"):
        quantizers.get(identifier)


@pytest.mark.parametrize("gradient", ["exact", 1, abs, ExactGradient, XnorInputs()])
def test_xnor_weights_refuse_a_gradient_that_is_none(gradient):
    with pytest.raises(ValueError, match=r"XnorWeights: gradient must be ExactGradient\(\), .*got gradient="):
        XnorWeights(gradient=gradient)


def test_bits():
    assert XnorWeights().bits == 1
    assert XnorInputs().bits == 1
    assert Quantizer.bits == 32


def test_the_base_class_quantizes_nothing():
    with pytest.raises(NotImplementedError, match="Quantizer has no __call__"):
        Quantizer()(1)


# --- arguments of any type


@pytest.mark.parametrize("integer", [np.int64(2), np.uint8(2), np.array(2)[()]], ids=lambda value: type(value).__name__)
def test_integers_of_numpy_are_integers(integer):
    for quantizer, expected in [
        (DoReFaWeights(integer, differentiate_max=np.True_), DoReFaWeights(2, differentiate_max=True)),
        (DoReFaInputs(integer), DoReFaInputs(2)),
        (DoReFaGradients(integer, seed=integer), DoReFaGradients(2, seed=2)),
    ]:
        assert quantizer == expected
        assert repr(quantizer) == repr(expected)
        assert quantizers.get(json.loads(json.dumps(quantizers.serialize(quantizer)))) == expected
    layer = QuantConv2D(3, 3, padding="same", pad_values=np.int8(-1), input_quantizer="xnor_inputs", kmap=np.bool_(1))
    assert json.loads(json.dumps(layer.get_config()))["pad_values"] == -1


@pytest.mark.parametrize("bits", [0, 17, 33, 2.5, 2.0, np.float32(2), True, np.True_, "2", None, [2], np.array([2, 3])], ids=repr)
@pytest.mark.parametrize("cls", [DoReFaWeights, DoReFaInputs, DoReFaGradients])
def test_bits_of_another_type_are_refused(cls, bits):
    with pytest.raises(ValueError, match=rf"{cls.__name__}: bits must be an integer from 1 to 16, or 32 \(off\); got bits="):
        cls(bits)


@pytest.mark.parametrize("seed", [1.5, "1", True, [1], np.float64(1)], ids=repr)
def test_a_seed_of_another_type_is_refused(seed):
    with pytest.raises(ValueError, match="DoReFaGradients: seed must be an integer or None; got seed="):
        DoReFaGradients(2, seed=seed)


@pytest.mark.parametrize("value", ["x", "False", None, 2, -1, 1.0, [True], np.array([True])], ids=repr)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (TernaryWeights, "per_filter"),
        (functools.partial(DoReFaWeights, 2), "differentiate_max"),
        (XnorWeights, "center"),
        (XnorWeights, "clip"),
        (functools.partial(QuantConv2D, 3, 3, input_quantizer="xnor_inputs", name="layer"), "kmap"),
    ],
    ids=["TernaryWeights", "DoReFaWeights", "XnorWeights", "XnorWeights", "QuantConv2D"],
)
def test_what_is_not_true_or_false_is_refused(make, name, value):
    with pytest.raises(ValueError, match=rf"(Weights|layer): {name} must be True or False; got {name}="):
        make(**{name: value})
    for flag in (True, np.True_, 1):
        assert make(**{name: flag}).get_config()[name] is True


@pytest.mark.parametrize("value", [True, "same", 2, 0.5, None, [1], np.array([0, 1])], ids=repr)
def test_pad_values_of_another_type_are_refused(value):
    with pytest.raises(ValueError, match="pad_values must be 0, 1 or -1; got pad_values="):
        QuantConv2D(3, 3, padding="same", pad_values=value)


@pytest.mark.parametrize("gradient", [{}, {"class_name": "XnorInputs"}, {"class_name": "No", "config": {}}], ids=str)
def test_a_gradient_of_no_configuration_is_refused(gradient):
    with pytest.raises(ValueError, match=r"XnorWeights: gradient must be ExactGradient\(\), .*got gradient="):
        XnorWeights(gradient=gradient)


def in_no_module(cls_name, **config):
    return {"module": "nowhere", "class_name": cls_name, "config": config, "registered_name": f"nowhere>{cls_name}"}


PLACES = {
    "get": quantizers.get,
    "activation": QuantActivation,
    "gradient": QuantGradient,
    "input_quantizer": lambda identifier: QuantDense(3, input_quantizer=identifier),
    "kernel_quantizer": lambda identifier: QuantConv2D(3, 3, kernel_quantizer=identifier),
    "gradient_quantizer": lambda identifier: QuantDense(3, gradient_quantizer=identifier),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"bits": 2},
        {"class_name": "DoReFaInputs"},
        in_no_module("Quantizer"),
        quantizers.serialize(DoReFaInputs(2)) | {"config": {"bits": 2.5}},
        quantizers.serialize(DoReFaInputs(2)) | {"config": {"bytes": 2}},
        keras.saving.serialize_keras_object(keras.initializers.Zeros()) | {"class_name": "Nothing"},
        keras.saving.serialize_keras_object(ExactGradient()),
    ],
    ids=range(8),
)
def test_a_dictionary_that_is_no_configuration_is_refused_where_it_is_given(place, config):
    with pytest.raises(ValueError, match="expected the configuration of a quantizer; got ") as error:
        PLACES[place](config)
    assert "\n" not in str(error.value)


def test_a_configuration_of_something_else_is_refused():
    config = keras.saving.serialize_keras_object(keras.optimizers.SGD())
    with pytest.raises(ValueError, match="expected the configuration of a quantizer; got "):
        quantizers.get(config)


class Bare:
    """Can be called, but not saved."""

    def __call__(self, x):
        return x


@pytest.mark.parametrize("place", [place for place in PLACES if "gradient" not in place])
@pytest.mark.parametrize("quantizer", [Bare(), functools.partial(max, 0), Bare().__call__, np.sign], ids=range(4))
def test_what_no_model_can_be_saved_with_is_refused_where_it_is_given(place, quantizer):
    with pytest.raises(ValueError, match=r"expected a quantizer that a model can be saved with, .* got ") as error:
        PLACES[place](quantizer)
    assert "\n" not in str(error.value)


@keras.saving.register_keras_serializable(package="tests")
def doubled(x):
    return 2.0 * x


def test_a_function_quantizes_and_is_saved(tmp_path):
    inputs = keras.Input((4, 4, 3))
    y = QuantConv2D(2, 3, kernel_quantizer=doubled, input_quantizer=doubled)(inputs)
    model = keras.Model(inputs, QuantDense(2, kernel_quantizer=doubled)(QuantActivation(doubled)(y)))
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.layers[1].kernel_quantizer is again.layers[2].input_quantizer is doubled


@pytest.mark.parametrize("quantizer", [doubled, DoReFaInputs(32), "xnor_weights", lambda g: g], ids=range(4))
def test_only_quantizers_of_gradients_serve_for_gradients(quantizer):
    for place in ("gradient", "gradient_quantizer"):
        with pytest.raises(ValueError, match=r"gradient_quantizer must quantize gradients, .* got "):
            PLACES[place](quantizer)
    with pytest.raises(ValueError, match=r"gradient_quantizer must quantize gradients, .* got None"):
        QuantGradient(None)
