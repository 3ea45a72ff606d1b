"""What each format promises: int8, binary convolutions that are binary, uint8 images, and the command on a run."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from exporting import QUANTIZERS, cifar10_slice, trained
from running import TINY, environment, sampled, slow_on
from running import trained as run_of

import models
import tfq
from tfq import export
from tfq.backend.keras import backend, is_legacy, keras
from tfq.backend.keras import ops as keras_ops
from tfq.cli.config import TrainingConfig
from tfq.convert.from_keras import from_keras
from tfq.export import __main__ as program
from tfq.export import binary_layers, byte_kernels, table, verify
from tfq.export.formats import FORMATS
from tfq.export.formats.lce import binary_convolutions
from tfq.graph import file
from tfq.layers import BatchNormalization, QuantActivation, QuantConv2D, QuantDense
from tfq.quantizers import (
    ApproxSign,
    DoReFaInputs,
    DoReFaWeights,
    IRNetInputs,
    ReSTEInputs,
    SteSign,
    SwishSign,
    TernaryWeights,
    XnorInputs,
    XnorWeights,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
tensorflow_only = pytest.mark.tensorflow_only
needs_lce = pytest.mark.skipif(
    backend != "tensorflow" or importlib.util.find_spec("larq_compute_engine") is None, reason="needs larq-compute-engine"
)
MEAN, STD = np.array([0.5, 0.4, 0.3], "float32"), np.array([0.5, 0.6, 0.7], "float32")


@pytest.fixture(scope="module")
def data():
    return cifar10_slice()


@pytest.fixture
def floating():
    return trained("float")


@pytest.fixture
def xnor():
    return trained("xnor")


def saved(model, directory, formats, images, **options):
    return export.save(model, directory, formats, images=images, **options)


@tensorflow_only
def test_constants_of_int8_are_a_quarter_and_the_agreement_is_that_of_the_file(floating, data, tmp_path):
    float32, int8 = saved(floating, tmp_path, ["tflite", "tflite_int8"], data[0][:128])
    assert int8.bytes < float32.bytes
    own, full = np.sum([row[2:] for row in FORMATS["tflite_int8"].sizes(int8.path)], axis=0)
    assert full / 4 <= own < full / 3  # biases are of 32 bits
    classes = [
        np.argmax(predict(data[0][:128]), axis=1) for predict in (floating.predict, FORMATS["tflite_int8"].load(int8.path))
    ]
    assert int8.agreement.top1_agreement == np.mean(classes[0] == classes[1])
    assert 1e-4 < int8.agreement.median_difference < 0.1


@tensorflow_only
@slow_on("tf_keras")
def test_int8_keeps_the_grid_that_dorefa_was_trained_with(data, tmp_path):
    """Not a range that was measured: 255 steps of [0, 1], with zero at -128."""
    import tensorflow as tf

    x = keras.Input((32, 32, 3))
    y = QuantConv2D(8, 3, input_quantizer=DoReFaInputs(8), kernel_quantizer=DoReFaWeights(8))(BatchNormalization()(x))
    model = keras.Model(x, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(y)))
    (report,) = saved(model, tmp_path, ["tflite_int8"], data[0][:64] / 3)
    details = tf.lite.Interpreter(str(report.path)).get_tensor_details()
    grids = [
        tensor["quantization"] for tensor in details if tensor["dtype"] == np.int8 and tuple(tensor["shape"]) == (1, 32, 32, 3)
    ]
    assert any(scale == pytest.approx(1 / 255) and zero == -128 for scale, zero in grids)


def one_bit():
    """Kernels that TensorFlow's converter does not fold, one of them in a nested model."""
    keras.utils.set_random_seed(0)
    binary = QuantConv2D(64, 3, kernel_quantizer=XnorWeights(), use_bias=False, name="conv")
    conv = keras.Sequential([keras.Input((6, 6, 32)), binary], name="inner")
    x = keras.Input((8, 8, 3))
    y = BatchNormalization()(conv(BatchNormalization()(keras.layers.Conv2D(32, 3, name="first")(x))))
    y = QuantConv2D(36, 1, kernel_quantizer=DoReFaWeights(1), use_bias=False, name="dorefa")(y)
    y = QuantConv2D(36, 1, kernel_quantizer=DoReFaWeights(8), use_bias=False, name="eight")(y)
    y = BatchNormalization()(keras.layers.GlobalAveragePooling2D()(y))
    y = QuantDense(72, kernel_quantizer=TernaryWeights(), use_bias=False, name="dense")(y)
    return keras.Model(x, keras.layers.Dense(4, name="head")(y))


def quantized_kernels(model):
    layers = [model.get_layer("inner").get_layer("conv"), *map(model.get_layer, ("dorefa", "dense", "eight"))]
    return layers, [keras_ops.convert_to_numpy(layer.quantized_kernel) for layer in layers]


def products_of(path):
    """(names of all operators, kernel with its output axis last, as numbers, and the type it is stored in) of a TFLite file."""
    import tensorflow as tf

    plain = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(str(path), experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    operators, kernels = interpreter._get_ops_details(), []
    tensors = {details["index"]: details for details in interpreter.get_tensor_details()}
    made = {operator["outputs"][0]: operator["inputs"][0] for operator in operators if operator["op_name"] == "DEQUANTIZE"}
    for operator in operators:
        if operator["op_name"] in ("CONV_2D", "FULLY_CONNECTED"):
            stored = made.get(operator["inputs"][1], operator["inputs"][1])
            scales = tensors[stored]["quantization_parameters"]["scales"]
            values = np.moveaxis(interpreter.get_tensor(stored), 0, -1)
            kernels.append((values * scales if len(scales) else values, tensors[stored]["dtype"]))
    return {operator["op_name"] for operator in operators}, kernels


def of_size_one(kernel):
    """Over the largest of each filter: a batch normalization behind it, which is folded into it, scales them."""
    filters = kernel.reshape(-1, kernel.shape[-1])
    return filters / np.abs(filters).max(axis=0)


@tensorflow_only
@pytest.mark.parametrize("name", sampled(["tflite", "tflite_int8"], {"tflite"}, "tf_keras"))
def test_tflite_holds_quantized_kernels_as_numbers(name, data, tmp_path):
    """In 8 bits where these are exact, and not as latent ones that each inference quantizes; also of nested and dense layers."""
    model = one_bit()
    before = model.get_weights()
    (report,) = saved(model, tmp_path, [name], data[0][:32, :8, :8])
    operators, kernels = products_of(report.path)
    assert len(kernels) == 6
    assert not operators & {"SELECT", "SELECT_V2", "TRANSPOSE", "ABS", "TANH", "REDUCE_MAX"}  # of which kernels are quantized
    layers, quantized = quantized_kernels(model)
    for layer, expected in zip(layers, quantized, strict=True):
        is_float = (name, layer.name) == ("tflite", "eight")
        atol = 0.5 / 127 if (name, layer.name) == ("tflite_int8", "eight") else 1e-6
        alike = [kernel for kernel in kernels if kernel[0].size == expected.size]
        found = [stored for values, stored in alike if np.allclose(of_size_one(values), of_size_one(expected), atol=atol)]
        assert found == [np.float32 if is_float else np.int8], layer.name
        assert layer.kernel_quantizer is not None
    assert report.in_float == (("eight",) if name == "tflite" else ())
    assert ("low-bit layers that stay in float: eight" in str(report)) == (name == "tflite")
    binary = [row for row in FORMATS[name].sizes(report.path) if row[3] >= 4 * 18432]
    assert [(row[1], row[2] < 18432 + 64 * 4 + 1) for row in binary] == [
        ("CONV_2D int8" if name == "tflite" else "CONV_2D", True)
    ]
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@tensorflow_only
def test_an_export_leaves_convolutions_in_groups_as_they_are(data, tmp_path):
    """tf_keras compiles them with their quantizers: a function in the graph, which must not keep the kernel of the export."""
    x = keras.Input((8, 8, 4))
    model = keras.Model(x, QuantConv2D(4, 3, groups=2, kernel_quantizer=XnorWeights())(x))
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 4)).astype("float32")
    before = model.predict(images, verbose=0)
    weights = model.get_weights()
    model.set_weights([-values for values in weights])
    (report,) = saved(model, tmp_path, ["savedmodel"], images)
    np.testing.assert_allclose(FORMATS["savedmodel"].load(report.path)(images), -before, rtol=1e-5, atol=1e-5)
    assert sum(row[2] for row in FORMATS["savedmodel"].sizes(report.path)) == 4 * model.count_params()
    model.set_weights(weights)
    np.testing.assert_allclose(model.predict(images, verbose=0), before, rtol=1e-5, atol=1e-5)
    traced = keras.Model(model.inputs, model.outputs)  # anew, with the same layers
    np.testing.assert_allclose(traced.predict(images, verbose=0), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", [1, 2, 5, 7, 8])
def test_8_bits_hold_levels_of_up_to_7_bits_and_no_others(bits):
    """Whatever a scale that each filter has besides, and where a filter has no highest level; a filter of zeros too."""
    rng, n = np.random.default_rng(0), 2**bits - 1
    levels = ((2 * rng.integers(0, n + 1, (12, 3, 3, 16)) - n) / n).astype("float32")
    levels[1] = np.clip(levels[1], -1 / n, 1 / n)
    levels[2] = 0
    kernel = levels * rng.uniform(0.1, 3, (12, 1, 1, 1)).astype("float32")
    found = byte_kernels.codes(kernel)
    assert (found is None) == (bits == 8)
    if bits < 8:
        np.testing.assert_allclose(found[0] * found[1][:, None, None, None], kernel, rtol=0, atol=0 if bits == 1 else 2e-6)
    assert byte_kernels.codes(rng.normal(size=(12, 3, 3, 16)).astype("float32")) is None


@tensorflow_only
def test_savedmodel_holds_quantized_kernels_as_numbers_and_keras_latent_ones(data, tmp_path):
    import tensorflow as tf

    model = one_bit()
    saved_model, file_of_keras = saved(model, tmp_path, ["savedmodel", "keras"], data[0][:16, :8, :8])
    variables = [variable.numpy() for variable in tf.saved_model.load(saved_model.path).weights]
    again = keras.models.load_model(file_of_keras.path)
    layers, kernels = quantized_kernels(model)
    for values in kernels:
        assert sum(np.array_equal(variable, values) for variable in variables) == 1
    for latent in (keras_ops.convert_to_numpy(layer.kernel) for layer in layers):
        assert not any(np.array_equal(variable, latent) for variable in variables)
        assert sum(np.array_equal(values, latent) for values in again.get_weights()) == 1
    assert sum(variable.size for variable in variables) == model.count_params()


@tensorflow_only
@pytest.mark.parametrize("method", sampled(["xnor", "ternary"], {"xnor"}, "tf_keras"))
def test_int8_of_quantized_kernels_holds_them_as_numbers(method, data, tmp_path):
    model = trained(method)
    latent = model.get_weights()
    (report,) = saved(model, tmp_path, ["tflite_int8"], data[0][:128])
    assert report.bytes < 25_000  # 7,600 weights; with the computation of kernels in it, it would not load
    assert report.agreement.median_difference < 0.05
    for before, after in zip(latent, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(("changed", "by"), [(0, 0.11), (30, 0)])
def test_a_format_that_rounds_may_not_lose_the_classes(changed, by):
    """Of 100 images: too large a change of all logits, or another top-1 class on more than 10 % and two standard errors."""
    logits = np.eye(10, dtype="float32")[np.arange(100) % 10]

    def predict(images):
        wrong = images + np.float32(by)
        wrong[:changed] = np.roll(wrong[:changed], 1, axis=1)
        return wrong

    x = keras.Input((10,))
    model = keras.Model(x, keras.layers.Activation("linear")(x))
    # One image goes alone, and is among those that are changed.
    with pytest.raises(export.ExportMismatch, match="the exported x loses too much"):
        verify.compare("x", model, predict, logits, lossy=(0.9, 0.1))
    verify.compare("x", model, lambda images: images + np.float32(0.09), logits, lossy=(0.9, 0.1))


def test_keras_file_holds_the_model_without_its_optimizer(xnor, data, tmp_path):
    (report,) = saved(xnor, tmp_path, ["keras"], data[0][:16])
    again = keras.models.load_model(report.path)
    assert getattr(again, "optimizer", None) is None
    for ours, theirs in zip(again.get_weights(), xnor.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@tensorflow_only
def test_savedmodel_takes_uint8_images_and_prepares_them(floating, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    (report,) = saved(floating, tmp_path, ["savedmodel"], images, pixel_mean=MEAN, pixel_std=STD)
    prepared = ((images / 255 - MEAN) / STD).astype("float32")
    expected = FORMATS["savedmodel"].load(report.path)(prepared)
    np.testing.assert_allclose(FORMATS["savedmodel"].load_uint8(report.path)(images), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(floating.predict(prepared, verbose=0), expected, rtol=1e-3, atol=1e-4)


def test_one_of_two_pixel_statistics_is_refused(floating, data, tmp_path):
    with pytest.raises(ValueError, match="of pixel_mean and pixel_std only one is given"):
        saved(floating, tmp_path, ["keras"], data[0][:16], pixel_mean=MEAN)


# --- larq-compute-engine


@needs_lce
def test_lce_file_is_binary_and_agrees(data, tmp_path):
    model = trained("xnor")
    (report,) = saved(model, tmp_path, ["lce"], data[0][:64])
    assert binary_convolutions(report.path.read_bytes()) == binary_layers.check(model) == 2
    assert report.agreement.top1_agreement >= 0.9


@needs_lce
@pytest.mark.slow
def test_lce_file_of_the_full_network_is_small(tmp_path):
    """1/23 of the float32 TFLite file of the wide resnet20."""
    FORMATS["lce"].save(models.build("resnet20", "xnor"), tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").stat().st_size <= 4_443_752 / 23


def one_convolution(**options):
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(64, 1)(x)
    y = QuantConv2D(64, 3, name="inner", **{"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights(), **options})(y)
    return keras.Model(x, BatchNormalization()(y))


@needs_lce
@slow_on("tf_keras")
@pytest.mark.parametrize("quantizer", [ApproxSign(), SteSign(None), SwishSign(), IRNetInputs(), ReSTEInputs()], ids=repr)
def test_lce_takes_every_sign_for_bits(quantizer, data, tmp_path):
    (report,) = saved(one_convolution(input_quantizer=quantizer), tmp_path, ["lce"], data[0][:16, :8, :8])
    assert binary_convolutions(report.path.read_bytes()) == 1


def quantized_apart(quantizer):
    x = keras.Input((8, 8, 32))
    y = QuantConv2D(64, 3, name="inner", kernel_quantizer=XnorWeights())(QuantActivation(quantizer)(x))
    return keras.Model(x, BatchNormalization()(y))


def with_a_zero_filter():
    model = one_convolution(use_bias=False)
    kernel = model.get_layer("inner").get_weights()[0]
    kernel[..., 7] = 0
    model.get_layer("inner").set_weights([kernel])
    return model


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (with_a_zero_filter, "its kernel has 576 exact zeros"),
        (lambda: one_convolution(kernel_quantizer=TernaryWeights()), r"its kernel has [\d,]+ exact zeros"),
        (
            lambda: one_convolution(input_quantizer=DoReFaInputs(1), kernel_quantizer=DoReFaWeights(1)),
            "quantized by DoReFaInputs",
        ),
        (lambda: one_convolution(input_quantizer=None), "its inputs are not quantized"),
        (lambda: one_convolution(kernel_quantizer=DoReFaWeights(2)), "not [+] and - one value"),
        (lambda: one_convolution(kernel_quantizer=None), "not [+] and - one value"),
        (lambda: one_convolution(padding="same", pad_values=-1), "pad_values=-1"),
        (lambda: one_convolution(groups=2), "groups=2, and its interpreter has no binary convolutions in groups"),
        (lambda: quantized_apart(DoReFaInputs(1)), "its inputs are quantized by a layer of their own"),
        (lambda: quantized_apart(XnorInputs()), "its inputs are quantized by a layer of their own"),
    ],
)
def test_convolutions_that_would_stay_float_are_refused_by_name(make, reason):
    with pytest.raises(export.Unsupported, match=f"layer 'inner' would silently stay a float convolution .*{reason}"):
        binary_layers.check(make())


@needs_lce
@pytest.mark.parametrize("pad_values", sampled([0, 1], {1}, "tf_keras"))
def test_what_is_not_refused_is_binary(pad_values, tmp_path):
    FORMATS["lce"].save(one_convolution(padding="same", pad_values=pad_values), tmp_path / "model.tflite")
    assert binary_convolutions((tmp_path / "model.tflite").read_bytes()) == 1


@needs_lce
@slow_on("tf_keras")
def test_a_file_that_its_interpreter_refuses_is_said_in_a_line(data, monkeypatch, tmp_path):
    """Whatever the reasons that are known."""
    monkeypatch.setattr(binary_layers, "_why_float", lambda layer, input_bits: None)
    with pytest.raises(export.Unsupported, match="larq-compute-engine made a file that it cannot run itself"):
        saved(one_convolution(groups=2), tmp_path, ["lce"], data[0][:16, :8, :8])
    assert list(tmp_path.iterdir()) == []


@needs_lce
@slow_on("tf_keras")
def test_a_convolution_that_the_converter_leaves_in_float_is_found(monkeypatch, tmp_path):
    """Whatever the reasons that are known: the binary convolutions of the file are counted."""
    monkeypatch.setattr(binary_layers, "_why_float", lambda layer, input_bits: None)
    with pytest.raises(export.Unsupported, match="made 0 of 1 quantized convolutions binary"):
        FORMATS["lce"].save(with_a_zero_filter(), tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


@needs_lce
@slow_on("tf_keras")
def test_lce_names_the_low_bit_layers_that_it_keeps_in_float(data, tmp_path):
    """Dense layers, and a first convolution of pixels."""
    binary = {"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights(), "use_bias": False}
    x = keras.Input((8, 8, 3))
    y = BatchNormalization()(QuantConv2D(32, 3, kernel_quantizer=XnorWeights(), name="pixels")(x))
    y = BatchNormalization()(keras.layers.Flatten()(QuantConv2D(32, 3, **binary)(y)))
    model = keras.Model(x, keras.layers.Dense(4)(QuantDense(32, **binary, name="signs")(y)))
    assert binary_layers.check(model) == 1
    (report,) = saved(model, tmp_path, ["lce"], data[0][:16, :8, :8])
    assert report.in_float == ("pixels", "signs")
    assert str(report).endswith("low-bit layers that stay in float: pixels, signs")


def test_lce_names_every_layer_that_it_refuses():
    x = keras.Input((8, 8, 3))
    y = QuantConv2D(64, 3, name="four", input_quantizer=DoReFaInputs(4))(keras.layers.Conv2D(64, 1)(x))
    y = QuantConv2D(64, 3, name="three", input_quantizer=XnorInputs(), kernel_quantizer=TernaryWeights())(y)
    with pytest.raises(export.Unsupported, match=r"layer 'four' .* by DoReFaInputs, .*; layer 'three' .* exact zeros") as error:
        binary_layers.check(keras.Model(x, y))
    assert "\n" not in str(error.value)


# --- what a converter does not take


def test_lce_says_which_sizes_are_unknown():
    x = keras.Input((None, None, 3))
    with pytest.raises(
        export.Unsupported, match=r"takes models of known sizes; layer '.*' has a tensor of shape \(None, None, No"
    ):
        binary_layers.check(keras.Model(x, QuantConv2D(32, 3, kernel_quantizer=XnorWeights())(x)))


@tensorflow_only
@slow_on("tf_keras")
def test_tflite_takes_images_of_any_size(data, tmp_path):
    x = keras.Input((None, None, 3))
    y = BatchNormalization()(keras.layers.Conv2D(8, 3)(x))
    y = QuantConv2D(32, 3, input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights())(y)
    (report,) = saved(keras.Model(x, keras.layers.GlobalAveragePooling2D()(y)), tmp_path, ["tflite"], data[0][:16])
    predict = FORMATS["tflite"].load(report.path)
    assert [predict(data[0][:2, :size, :8]).shape for size in (8, 9)] == [(2, 32), (2, 32)]


@tensorflow_only
@slow_on("tf_keras")
def test_what_the_converter_does_not_take_is_a_line_that_names_the_layer(data, tmp_path, capfd):
    import tensorflow as tf

    x = keras.Input((32, 32, 3))
    y = keras.layers.Lambda(tf.math.bessel_i0, name="strange")(keras.layers.Conv2D(2, 3)(x))
    with pytest.raises(export.Unsupported, match=r"does not take this model: layer 'strange': 'tf\.BesselI0' op is") as error:
        saved(keras.Model(x, keras.layers.Flatten()(y)), tmp_path, ["tflite"], data[0][:16])
    assert "\n" not in str(error.value)
    assert (list(tmp_path.iterdir()), capfd.readouterr()) == ([], ("", ""))


def test_every_layer_that_a_format_refuses_is_named_before_the_training(monkeypatch, tmp_path):
    from tfq.cli import program
    from tfq.training.run_directory import RunDirectory

    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(3, 3, activation="tanh", name="curve")(keras.layers.UpSampling2D(name="up")(x))
    y = QuantConv2D(4, 3, input_quantizer=DoReFaInputs(2), kernel_quantizer=DoReFaWeights(2), name="two")(y)
    with pytest.raises(export.Unsupported, match=r"to tfq: 2 layers .* 'up' .* 'curve' .*; lce: layer 'two' would") as error:
        export.check_model(keras.Model(x, y), ["tfq", "keras", "lce"])
    assert "\n" not in str(error.value)
    export.check_model(keras.Model(x, y), ["keras"])
    half = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype="mixed_bfloat16", name="half")], name="inner")
    inputs = keras.Input((4,))
    with pytest.raises(export.ExportError, match="layer 'inner/half' computes in bfloat16"):
        export.check_model(keras.Model(inputs, half(inputs)), ["tfq"])
    # And by the training program, which gets no further.
    monkeypatch.setattr(program.fitting, "make_batches", lambda *arguments: ([1], [1]))
    monkeypatch.setattr(program.fitting, "build_model", lambda *arguments: keras.Model(x, y))
    monkeypatch.setattr(program.run_data, "claim", lambda directory, dataset, log: dataset)
    with pytest.raises(export.Unsupported, match="layer 'up'"):
        program.train(TrainingConfig(export=("tfq",)), backend, RunDirectory(tmp_path), None, None)


# --- .tfq


def runtime():
    pytest.importorskip("numba", reason="the engine needs it")
    from tfq.runtime import engine

    return engine


@pytest.mark.parametrize("method", sampled(QUANTIZERS, {"xnor"}, "tf_keras", "jax"))
def test_tfq_agrees_with_the_model(method, data, tmp_path):
    runtime()
    (report,) = tfq.export_model(trained(method), tmp_path, images=data[0][256:])
    assert report.path == tmp_path / "model.tfq"
    assert report.agreement.top1_agreement >= 0.99


def test_tfq_refuses_what_it_cannot_hold(data, tmp_path, capfd):
    x = keras.Input((32, 32, 3))
    model = keras.Model(x, keras.layers.UpSampling2D(name="up")(x))
    with pytest.raises(export.Unsupported, match="layer 'up' is a UpSampling2D"):
        tfq.export_model(model, tmp_path, images=data[0][:16])
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_table_counts_each_byte(data, tmp_path):
    model = trained("xnor")
    file.write(from_keras(model), tmp_path / "model.tfq")
    lines = table.by_layer(FORMATS["tfq"].sizes(tmp_path / "model.tfq")).splitlines()
    # The second convolution: 2,304 bits, 16 scales and 16 biases.
    (line,) = [line for line in lines if line.split()[:3] == [model.layers[3].name, "binary", "1"]]
    assert line.split()[3:5] == [str(2304 // 8 + 4 * 32), f"{4 * (2304 + 16):,}"]
    stored = sum(int(line.split()[-3].replace(",", "")) for line in lines[1:-1])
    assert int(lines[-1].split()[1].replace(",", "")) == stored < (tmp_path / "model.tfq").stat().st_size < stored + 2500


@tensorflow_only
@slow_on("tf_keras")
@pytest.mark.parametrize(("name", "weight"), [("savedmodel", 4), ("keras", 4), ("tflite", 4), ("tflite_int8", 1), ("lce", 4)])
def test_every_format_says_the_bytes_of_each_layer(name, weight, xnor, data, tmp_path):
    """The first convolution has 432 weights and 16 biases, the second 2,304, binary ones in 9 words a filter, for 32 channels."""
    if name == "lce":
        pytest.importorskip("larq_compute_engine")
    (report,) = saved(xnor, tmp_path, [name], data[0][:128])
    rows = FORMATS[name].sizes(report.path)
    assert (432 * weight + 16 * 4, 4 * (432 + 16)) in [row[2:] for row in rows]
    if name == "lce":
        assert (4 * 9 * 16 + 2 * 4 * 16, 4 * (9 * 16 * 32 + 2 * 16)) in [row[2:] for row in rows]
    total = report.by_layer().splitlines()[-1].split()
    assert total[0] == "total"
    assert int(total[1].replace(",", "")) == sum(row[2] for row in rows) < report.bytes


# --- runs, and the command


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    run_of(*TINY, "--epochs=1", f"--run_dir={path}")
    return path


@slow_on("tf_keras", "jax")
def test_command_exports_a_run_without_the_code_that_made_it(run_directory, tmp_path):
    """As a process: `python -m tfq.export`, and a look at what it has loaded."""
    script = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('tfq.export', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'models', 'train', 'tfq.cli.program'} & set(sys.modules)\n"
    )
    environ = {**environment(), "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    environ.update({"TF_USE_LEGACY_KERAS": "1"} if is_legacy else {})
    arguments = [str(run_directory), "--formats=keras", f"--out={tmp_path}"]
    # The run names its data set relative to where it was started.
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"keras: {tmp_path}/model.keras, ")
    assert "images, same top-1 on 100.0%" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


@slow_on("tf_keras", "jax")
def test_a_run_is_exported_by_its_path(run_directory, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (report,) = tfq.export_model(run_directory, tmp_path, ["keras"])
    assert report.path == tmp_path / "model.keras"


@slow_on("tf_keras", "jax")
def test_statistics_of_a_run_are_used(run_directory, data, monkeypatch):
    from tfq.export import run

    monkeypatch.chdir(ROOT)
    model, images, mean, std = run.read(run_directory)
    summary = json.loads((run_directory / "summary.json").read_text())
    np.testing.assert_allclose(mean, summary["pixel_mean"], rtol=1e-6)
    np.testing.assert_allclose(std, summary["pixel_std"], rtol=1e-6)
    assert images.dtype == np.uint8
    assert model.name == "resnet20"


def test_command_says_in_one_line_what_is_wrong(tmp_path, capsys):
    for arguments, message in (
        ([tmp_path], "there is no run in"),
        ([tmp_path / "model.keras"], "there is no run in"),
        ([tmp_path, "--formats=gguf"], "export format 'gguf' is unknown"),
        ([tmp_path, "--images=none.npz"], "none.npz must be an .npz file"),
    ):
        assert program.main([str(argument) for argument in arguments]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("python -m tfq.export: error: ")
        assert message in line


def test_a_run_of_the_other_keras_is_named(tmp_path, capsys):
    (tmp_path / "best.keras").touch()
    (tmp_path / "flags.cfg").write_text(f"--backend={'tensorflow' if is_legacy else 'tf_keras'}\n")
    assert program.main([str(tmp_path)]) == 1
    assert "TF_USE_LEGACY_KERAS" in capsys.readouterr().err


def test_images_are_needed_for_a_model(floating, tmp_path):
    with pytest.raises(ValueError, match="give images="):
        tfq.export_model(floating, tmp_path)
