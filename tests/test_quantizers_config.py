"""Configurations: round trips, names, equality and errors."""

import json

import pytest

from tfq import quantizers
from tfq.quantizers import (
    ClippedGradient,
    DoReFaGradients,
    DoReFaInputs,
    DoReFaWeights,
    ExactGradient,
    PaperGradient,
    Quantizer,
    TernaryWeights,
    XnorInputs,
    XnorWeights,
)

ALL = [
    XnorWeights(),
    XnorWeights(gradient=PaperGradient(), center=True),
    XnorWeights(gradient=ClippedGradient(), clip=True),
    XnorInputs(),
    TernaryWeights(),
    TernaryWeights(per_filter=True),
    DoReFaWeights(3),
    DoReFaWeights(3, differentiate_max=True),
    DoReFaInputs(3),
    DoReFaGradients(6),
    DoReFaGradients(6, seed=1),
]


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


@pytest.mark.parametrize("identifier", [3, 1.5, XnorWeights, ["xnor_weights"]])
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
