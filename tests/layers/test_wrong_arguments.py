"""Wrong arguments: one clear error each, from every class of layers."""

import numpy as np
import pytest
from conftest import tensor
from layer_classes import CLASSES

from tfq.layers import QuantizedConvolution
from tfq.quantizers import DoReFaGradients, DoReFaInputs, DoReFaWeights, XnorWeights

PADDED = {name for name, case in CLASSES.items() if issubclass(case.cls, QuantizedConvolution)}


def kernel(quantizer):
    return lambda case: case.quantizers(quantizer())


# Arguments, made in the test, since some of them raise themselves; what the message says.
WRONG = {
    "bits=0": (kernel(lambda: DoReFaWeights(0)), "bits must be an integer from 1 to 16, or 32.*; got bits=0"),
    "bits=33": (lambda case: {"input_quantizer": DoReFaInputs(33)}, "bits must be an integer from 1 to 16.*; got bits=33"),
    "needs bits": (kernel(lambda: "dorefa_weights"), "needs its number of bits: give an object such as"),
    "a class": (
        kernel(lambda: DoReFaWeights),
        r"expected a quantizer, .*; got <class .*: call it, DoReFaWeights\(...\)",
    ),
    "unknown kernel": (kernel(lambda: "xnor_weight"), "unknown quantizer 'xnor_weight'; known are xnor_weights, "),
    "unknown input": (lambda case: {"input_quantizer": "signs"}, "unknown quantizer 'signs'; known are "),
    "of gradients": (kernel(lambda: DoReFaGradients(2)), r"_quantizer must quantize kernels, .*; got DoReFaGradients\("),
    "of kernels": (lambda case: {"input_quantizer": XnorWeights()}, "input_quantizer must quantize inputs, .*; got XnorW"),
    "integers": (lambda case: {**case.quantizers(), "dtype": "int32"}, "takes those of floats; got dtype='int32'"),
}
WRONG_PADDING = {
    "half": ({"pad_values": 0.5, "padding": "same"}, "pad_values must be 0, 1 or -1; got pad_values=0.5"),
    "valid": ({"pad_values": 1, "padding": "valid"}, "pad_values=1 needs padding='same' or 'causal'; got padding='valid'"),
}
every_class = pytest.mark.parametrize("case", CLASSES.values(), ids=list(CLASSES))


@pytest.mark.parametrize("what", WRONG)
@every_class
def test_wrong_arguments_are_said(case, what):
    make, message = WRONG[what]
    with pytest.raises(ValueError, match=message):
        case.cls(*case.arguments, **{**case.options, **make(case)})


@pytest.mark.parametrize("what", WRONG_PADDING)
@every_class
def test_wrong_values_to_pad_with_are_said(case, what):
    options, message = WRONG_PADDING[what]
    if case.name not in PADDED:  # Keras says what it does not know, by a TypeError in tf_keras
        options, message = {"pad_values": 1}, "pad_values"
    with pytest.raises((ValueError, TypeError), match=message):
        case.cls(*case.arguments, **{**case.options, **options})


@pytest.mark.parametrize("axes", [-1, 1, 2])
@every_class
def test_inputs_of_another_rank_are_said(case, axes):
    shape = (2, *case.shape, 4, 4)[: len(case.shape) + 1 + axes]
    layer = case.cls(*case.arguments, **case.options, **case.quantizers(), input_quantizer="xnor_inputs")
    if case.name == "QuantDense" and axes > 0:  # which takes them, as that of Keras
        assert layer(tensor(np.ones(shape))).shape == (*shape[:-1], 4)
        return
    message = rf"expected (inputs of|min_ndim=\d).*\({', '.join(map(str, shape))},?\)"
    with pytest.raises(ValueError, match=message):
        layer(tensor(np.ones(shape)))


@pytest.mark.parametrize("name", ["QuantSeparableConv1D", "QuantSeparableConv2D"])
def test_a_layer_of_two_kernels_has_no_quantizer_of_one(name):
    with pytest.raises((ValueError, TypeError), match="kernel_quantizer"):
        CLASSES[name].cls(2, 3, kernel_quantizer="xnor_weights")
    layer = CLASSES[name].build()
    for attribute in ("quantized_kernel", "latent_kernel", "kernel_arguments"):
        with pytest.raises(TypeError, match=r"has several kernels, depthwise_kernel, pointwise_kernel; `kernels` has each"):
            getattr(layer, attribute)
