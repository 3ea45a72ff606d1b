"""Every class of quantized layers: the layer of Keras on quantized operands, whatever its options; one scale a filter."""

import math

import numpy as np
import pytest
from conftest import array, tensor
from layer_classes import CASES, CLASSES, CONVOLUTIONS, DENSE, Case, all_in_one, stock_on_quantized_operands
from running import sampled

from tfq import layers
from tfq.backend.keras import backend, is_legacy, keras, load_model
from tfq.quantizers import TernaryWeights
from tfq.testing import check_layer

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_class = pytest.mark.parametrize("case", CLASSES.values(), ids=list(CLASSES))


def test_all_classes_are_here():
    of_keras = [name for name in layers.__all__ if issubclass_of_quantized(name)]
    assert sorted(of_keras) == list(CLASSES)


def issubclass_of_quantized(name):
    cls = getattr(layers, name)
    return isinstance(cls, type) and issubclass(cls, layers.QuantizedLayer) and issubclass(cls, keras.layers.Layer)


# JAX compiles for each of them.
@pytest.mark.parametrize("case", sampled(CASES, list(CLASSES.values()), "jax"), ids=str)
def test_without_quantizers_a_layer_is_that_of_keras(case):
    ours, stock = case.build(), case.build(case.cls.stock_class())
    inputs = tensor(case.inputs)
    np.testing.assert_array_equal(array(ours(inputs)), array(stock(inputs)))
    assert [weight.shape for weight in ours.weights] == [weight.shape for weight in stock.weights]


@every_case
def test_with_quantizers_a_layer_is_that_of_keras_on_quantized_operands(case):
    layer = case.build(**case.quantizers(), input_quantizer="xnor_inputs")
    found, expected = array(layer(tensor(case.inputs))), stock_on_quantized_operands(case, layer)
    assert found.shape == expected.shape
    said = tuple(layer.compute_output_shape(case.inputs.shape))  # of an einsum, and in tf_keras, not all is known
    assert all(size in (None, length) for size, length in zip(said, found.shape, strict=True))
    # tf_keras has other operations for some, and XLA sums in another order.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


# Of layers with four channels, those of images, and two filters; of the equations in the order of `DENSE`.
FILTERS = {"Depthwise": [4], "Separable": [4, 2], "Conv": [2]}
OF_DENSE = [4, 4, 2 * 3, 3 * 2, 4 * 3, 3, 4, 3]
KERNELS = [
    *((case, next(FILTERS[kind] for kind in FILTERS if kind in name)) for name, case in CLASSES.items() if "Conv" in name),
    *((case, [filters]) for case, filters in zip(DENSE, OF_DENSE, strict=True)),
]


@pytest.mark.parametrize("quantizer", ["xnor_weights", TernaryWeights(per_filter=True)], ids=["xnor", "ternary"])
@pytest.mark.parametrize(("case", "filters"), KERNELS, ids=lambda value: str(value) if isinstance(value, Case) else "")
def test_each_filter_has_one_scale(case, filters, quantizer):
    layer = case.build(**case.quantizers(quantizer))
    scales = [np.unique(np.abs(array(kernel.quantized))) for kernel in layer.kernels]
    assert [np.count_nonzero(found) for found in scales] == filters


@every_class
def test_a_layer_keeps_the_contract(case):
    if backend == "jax" and case.name not in ("QuantEinsumDense", "QuantSeparableConv2D"):
        pytest.skip("the others are compiled for seconds: test_every_layer_keeps_the_contract")
    check_layer(lambda **options: case.cls(*case.arguments, **case.options, **options), case.shape)


@pytest.mark.tensorflow_only
@pytest.mark.keras3_only
@pytest.mark.parametrize("name", ["QuantConv2D", "QuantSeparableConv2D"])
def test_a_layer_with_the_channels_first_keeps_the_contract(name):
    options = {"data_format": "channels_first"}
    check_layer(lambda **more: getattr(layers, name)(2, 3, **options, **more), (4, 6, 7))


@pytest.mark.slow
@pytest.mark.jax_only
@every_class
def test_every_layer_keeps_the_contract(case):
    check_layer(lambda **options: case.cls(*case.arguments, **case.options, **options), case.shape)


def test_models_of_all_layers_are_cloned_and_saved(tmp_path):
    model, inputs = all_in_one()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    for again in (clone, load_model(tmp_path / "model.keras")):
        for name in CLASSES:
            assert again.get_layer(name).get_config() == model.get_layer(name).get_config()
            assert type(again.get_layer(name)) is getattr(layers, name)
        for found, expected in zip(again(inputs), model(inputs), strict=True):
            np.testing.assert_array_equal(array(found), array(expected))


@pytest.mark.parametrize("value", [1, -1])
@pytest.mark.parametrize(
    "case",
    [each for each in CONVOLUTIONS if each.options.get("padding", "valid") != "valid" and "Transpose" not in each.name],
    ids=str,
)
def test_pad_values_surround_the_quantized_inputs(case, value):
    layer = case.build(pad_values=value, input_quantizer="xnor_inputs", **case.quantizers())
    widths = [(0, 0)]
    for length, window, stride, dilation in zip(case.shape, layer.kernel_size, layer.strides, layer.dilation_rate, strict=False):
        reach = (window - 1) * dilation + 1
        total = max((math.ceil(length / stride) - 1) * stride + reach - length, 0)
        widths.append((reach - 1, 0) if layer.padding == "causal" else (total // 2, total - total // 2))
    signs = np.pad(np.where(case.inputs >= 0, 1, -1), [*widths, (0, 0)], constant_values=value)
    padded = case._replace(options={**case.options, "padding": "valid"}, shape=signs.shape[1:])
    stock = padded.build(case.cls.stock_class())
    for kernel in layer.kernels:
        getattr(stock, kernel.name).assign(kernel.quantized)
    expected = array(stock(tensor(signs)))
    found = array(layer(tensor(case.inputs)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_pad_values_of_causal_padding_take_images_of_any_length():
    layer = layers.QuantConv1D(2, 3, padding="causal", strides=2, pad_values=1, input_quantizer="xnor_inputs")
    assert tuple(layer(keras.Input((None, 4))).shape) == (None, None, 2)


@pytest.mark.parametrize("name", ["QuantConv1D", "QuantConv2D", "QuantConv2DTranspose", "QuantSeparableConv1D"])
def test_a_bias_is_of_the_channels_where_images_are_as_long(name):
    case = CLASSES[name]
    rank = 2 if "2D" in name else 1
    shape = (3, *(2,) * rank)
    options = {"data_format": "channels_first", "bias_initializer": "ones"}
    layer = case.cls(2, 1, **options, **case.quantizers())
    layer.build((None, *shape))
    layer.bias.assign([1, 2])
    outputs = array(layer(tensor(np.zeros((1, *shape)))))
    np.testing.assert_array_equal(outputs[0].reshape(2, -1), [[1] * 2**rank, [2] * 2**rank])


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_each_kernel_is_quantized_in_float32_and_only_the_result_is_cast(dtype):
    seen = {}
    record = {
        "depthwise_quantizer": lambda w: seen.setdefault("depthwise", w) * 1.001,
        "pointwise_quantizer": lambda w: seen.setdefault("pointwise", w) * 1.001,
    }
    layer = layers.QuantSeparableConv2D(3, 2, dtype=dtype, **record)
    outputs = layer(tensor(np.ones((1, 4, 4, 2))))
    assert dtype.removeprefix("mixed_") in str(outputs.dtype)
    assert all("float32" in str(w.dtype) for w in seen.values())
    for kernel in layer.kernels:
        assert "float32" in str(kernel.quantized.dtype)
    assert list(seen) == ["depthwise", "pointwise"]


@pytest.mark.legacy_only
def test_a_dilation_that_tf_keras_leaves_out_is_refused():
    with pytest.raises(ValueError, match=r"has no dilation in Conv3DTranspose; got dilation_rate=\(2, 2, 2\)"):
        layers.QuantConv3DTranspose(2, 3, dilation_rate=2)
    assert is_legacy
