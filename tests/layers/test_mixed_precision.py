"""Under a mixed policy quantizers see float32, results alone are cast, and levels that would fall together are refused."""

import ml_dtypes
import numpy as np
import pytest
from conftest import array, tensor

from tfq.backend.keras import is_legacy, keras, ops
from tfq.layers import QuantActivation, QuantConv2D, QuantDense, QuantGradient
from tfq.quantizers import (
    DoReFaGradients,
    DoReFaInputs,
    DoReFaWeights,
    LSQInputs,
    LSQWeights,
    TernaryWeights,
    XnorInputs,
    XnorWeights,
)

HALF = ["bfloat16", "float16"]
NUMPY = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
RNG = np.random.default_rng(0)


def rounded(x, half):
    return np.asarray(x, np.float32).astype(NUMPY[half]).astype(np.float32)


def mixed(half):
    return keras.mixed_precision.Policy(f"mixed_{half}") if is_legacy else f"mixed_{half}"


def inputs():
    """Float32 values, some of which half precision moves over the boundary between two levels."""
    near = (np.arange(255) + 0.5) / 255
    return np.concatenate([near * (1 - 1e-5), near * (1 + 1e-5), RNG.uniform(-0.2, 1.2, 490)]).astype("float32")[None]


@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize(
    "make",
    [
        lambda **options: QuantActivation(**options),
        lambda **options: QuantDense(2, **options),
        lambda **options: QuantDense(2, kernel_quantizer=XnorWeights(), **options),
    ],
    ids=["activation", "dense", "dense, quantized"],
)
def test_an_input_quantizer_sees_float32_and_the_layer_gives_half_precision(make, half):
    seen = []

    def record(x):
        seen.append(x)
        return x

    layer = make(input_quantizer=record, dtype=mixed(half))
    x = inputs()
    for given in (x, tensor(x), tensor(x, half)):
        assert half in str(layer(given).dtype)
        assert "float32" in str(seen[-1].dtype)
        expected = rounded(x, half) if half in str(given.dtype) else x
        np.testing.assert_array_equal(array(seen[-1]), expected)


@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize("quantizer", [DoReFaInputs(8), XnorInputs()], ids=repr)
def test_quantized_inputs_are_those_of_float32_cast(quantizer, half):
    x = inputs()
    expected = rounded(array(quantizer(tensor(x))), half)
    found = array(QuantActivation(quantizer, dtype=mixed(half))(x)).astype("float32")
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) == 2**quantizer.bits
    once = array(quantizer(tensor(rounded(x, half))))
    assert not np.array_equal(once, array(quantizer(tensor(x)))) or quantizer.bits == 1  # where it saw what half holds
    # By a product of one term each.
    layer = QuantDense(1, input_quantizer=quantizer, kernel_initializer="ones", dtype=mixed(half))
    np.testing.assert_array_equal(array(layer(x.T)).astype("float32").ravel(), expected.ravel())


@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize("quantizer", [DoReFaWeights(8), LSQWeights(8), XnorWeights(), TernaryWeights()], ids=repr)
def test_a_quantized_kernel_is_that_of_float32_cast(quantizer, half):
    kernel = RNG.normal(size=(64, 64)).astype("float32")
    layers = [QuantDense(64, kernel_quantizer=quantizer, dtype=dtype) for dtype in (mixed(half), "float32")]
    for layer in layers:
        layer.build((None, 64))
        layer.kernel.assign(kernel)
    found = array(layers[0](np.eye(64, dtype="float32"))).astype("float32")
    np.testing.assert_array_equal(found, rounded(array(layers[1].quantized_kernel), half))


@pytest.mark.parametrize(("half", "bits"), [("float16", 8), ("bfloat16", 7)])
def test_inputs_of_lsq_are_those_of_float32_cast(half, bits):
    layer = QuantActivation(LSQInputs(bits), dtype=mixed(half))
    layer(inputs(), training=True)
    levels = array(layer.input_arguments["step_start"]) * np.arange(2**bits, dtype="float32")[None]
    found = array(layer(1.001 * levels)).astype("float32")
    np.testing.assert_array_equal(found, rounded(levels, half))
    assert len(np.unique(found)) == 2**bits


@pytest.mark.parametrize(
    ("quantizer", "most"),
    [
        (DoReFaInputs, {"bfloat16": 8, "float16": 11}),
        (DoReFaWeights, {"bfloat16": 9, "float16": 12}),
        (DoReFaGradients, {"bfloat16": 8, "float16": 11}),
        (LSQWeights, {"bfloat16": 8, "float16": 11}),
        (LSQInputs, {"bfloat16": 7, "float16": 10}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_so_many_bits_fit(quantizer, most):
    for half in HALF:
        fitting = [bits for bits in range(2, 17) if quantizer(bits).fits(half)]
        assert fitting == list(range(2, most[half] + 1))
        assert quantizer(32).fits(half)
        assert quantizer(16).fits("float32")


def values(quantizer, step):
    """All that it ends on."""
    codes = np.arange(2**quantizer.bits, dtype=np.float64)
    if isinstance(quantizer, DoReFaInputs):
        return codes / codes[-1]
    if isinstance(quantizer, DoReFaWeights):
        return 2 * codes / codes[-1] - 1
    if isinstance(quantizer, DoReFaGradients):
        return step * (codes - codes[-1] / 2)
    return step * (codes - (len(codes) // 2 if isinstance(quantizer, LSQWeights) else 0))


@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize("cls", [DoReFaInputs, DoReFaWeights, DoReFaGradients, LSQWeights, LSQInputs])
def test_what_fits_is_apart_and_what_does_not_falls_together(cls, half):
    for bits in range(2, 14):
        apart = [len(np.unique(rounded(values(cls(bits), step), half))) == 2**bits for step in np.linspace(0.01, 0.02, 100)]
        assert all(apart) == cls(bits).fits(half)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda dtype: QuantDense(2, input_quantizer=LSQInputs(8), dtype=dtype, name="l"), "input_quantizer=LSQInputs"),
        (lambda dtype: QuantDense(2, kernel_quantizer=DoReFaWeights(16), dtype=dtype, name="l"), "kernel_quantizer=DoReFaW"),
        (lambda dtype: QuantDense(2, gradient_quantizer=DoReFaGradients(9), dtype=dtype, name="l"), "gradient_quantizer=DoReFa"),
        (lambda dtype: QuantConv2D(2, 1, input_quantizer=DoReFaInputs(9), dtype=dtype, name="l"), "input_quantizer=DoReFaInputs"),
        (lambda dtype: QuantActivation(DoReFaInputs(9), dtype=dtype, name="l"), "input_quantizer=DoReFaInputs"),
        (lambda dtype: QuantGradient(DoReFaGradients(9), dtype=dtype, name="l"), "gradient_quantizer=DoReFaGradients"),
    ],
    ids=["lsq", "kernel", "gradient", "convolution", "activation", "gradient layer"],
)
def test_more_bits_are_refused_when_the_layer_is_built(make, argument):
    with pytest.raises(ValueError, match=rf"layer 'l': bfloat16 does not hold the levels of {argument}.* apart; expected fewer"):
        make(mixed("bfloat16")).build((None, 4, 4, 2))
    make("float32").build((None, 4, 4, 2))


def test_pure_half_precision_and_integers_stay_as_they_were():
    layer = QuantDense(2, input_quantizer=lambda x: x, dtype="bfloat16")
    assert "bfloat16" in str(layer(np.ones((1, 3), "float32")).dtype)
    layer = QuantDense(2, input_quantizer=DoReFaInputs(8), dtype=mixed("float16"))
    assert "float16" in str(layer(ops.convert_to_tensor(np.ones((1, 3)), dtype="int32")).dtype)
