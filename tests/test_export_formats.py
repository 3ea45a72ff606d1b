"""What each format promises: int8, binary convolutions that are binary, uint8 images, and the command on a run."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from exporting import cifar10_slice, trained
from running import TINY, environment
from running import trained as run_of

import models
import tfq
from tfq import export
from tfq.compat import backend, is_legacy, keras
from tfq.export import __main__ as program
from tfq.export import lce, packed, savedmodel, table, verify
from tfq.export.graph import from_keras
from tfq.layers import BatchNormalization, QuantActivation, QuantConv2D
from tfq.quantizers import DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights
from tfq.runtime import file
from tfq.training import choices

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
tensorflow_only = pytest.mark.tensorflow_only
needs_lce = pytest.mark.skipif(
    backend != "tensorflow" or importlib.util.find_spec("larq_compute_engine") is None, reason="needs larq-compute-engine"
)
MEAN, STD = np.array([0.5, 0.4, 0.3], "float32"), np.array([0.5, 0.6, 0.7], "float32")


@pytest.fixture(scope="module")
def data():
    return cifar10_slice()


@pytest.fixture(scope="module")
def floating(data):
    return trained("float", data)


@pytest.fixture(scope="module")
def xnor(data):
    return trained("xnor", data)


def saved(model, directory, formats, images, **options):
    return export.save(model, directory, formats, images=images, **options)


@tensorflow_only
def test_int8_is_a_quarter_and_keeps_the_classes(floating, data, tmp_path):
    float32, int8 = saved(floating, tmp_path, ["tflite", "tflite_int8"], data[0][:128])
    assert int8.bytes < float32.bytes / 2  # a network of 10 kB has as much again of description
    assert int8.agreement.top1_agreement >= 0.9
    assert 1e-4 < int8.agreement.median_difference < 0.1


@tensorflow_only
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


@tensorflow_only
@pytest.mark.parametrize("method", ["xnor", "ternary"])
def test_int8_of_quantized_kernels_holds_them_as_numbers(method, data, tmp_path):
    model = trained(method, data)
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
    expected = savedmodel.load(report.path)(prepared)
    np.testing.assert_allclose(savedmodel.load(report.path, savedmodel.UINT8_SIGNATURE)(images), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(floating.predict(prepared, verbose=0), expected, rtol=1e-3, atol=1e-4)


def test_one_of_two_pixel_statistics_is_refused(floating, data, tmp_path):
    with pytest.raises(ValueError, match="of pixel_mean and pixel_std only one is given"):
        saved(floating, tmp_path, ["keras"], data[0][:16], pixel_mean=MEAN)


# --- a file that is wrong


@pytest.mark.parametrize("name", list(export.FORMATS))
def test_a_wrong_file_of_any_format_is_found(name, xnor, data, tmp_path, monkeypatch):
    """Written of a model whose last layer has lost its first row: no name, and one line that says which format and how far."""
    if name not in choices.ANY_BACKEND_EXPORTS and backend != "tensorflow":
        pytest.skip("needs TensorFlow")
    if name == "lce":
        pytest.importorskip("larq_compute_engine")
    if name == "tfq":
        runtime()
    write = export.FORMATS[name].write

    def write_another(model, path, sample):
        weights = model.get_weights()
        try:
            model.set_weights([*weights[:-2], np.roll(weights[-2], 1, axis=1), weights[-1]])
            write(model, path, sample)
        finally:
            model.set_weights(weights)

    monkeypatch.setattr(export.FORMATS[name], "write", write_another)
    with pytest.raises(export.ExportMismatch, match=f"the exported {name} .*: 128 images, same top-1 on ") as error:
        saved(xnor, tmp_path, [name], data[0][:128])
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


# --- larq-compute-engine


@needs_lce
def test_lce_file_is_binary_and_agrees(data, tmp_path):
    model = trained("xnor", data)
    (report,) = saved(model, tmp_path, ["lce"], data[0][:64])
    assert lce._count(report.path.read_bytes()) == lce.check(model) == 2
    assert report.agreement.top1_agreement >= 0.9


@needs_lce
@pytest.mark.slow
def test_lce_file_of_the_full_network_is_small(tmp_path):
    """1/23 of the float32 TFLite file of the wide resnet20."""
    lce.write(models.build("resnet20", "xnor"), tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").stat().st_size <= 4_443_752 / 23


def one_convolution(**options):
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(64, 1)(x)
    y = QuantConv2D(64, 3, name="inner", **{"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights(), **options})(y)
    return keras.Model(x, BatchNormalization()(y))


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
        lce.check(make())


@needs_lce
@pytest.mark.parametrize("pad_values", [0, 1])
def test_what_is_not_refused_is_binary(pad_values, tmp_path):
    lce.write(one_convolution(padding="same", pad_values=pad_values), tmp_path / "model.tflite")
    assert lce._count((tmp_path / "model.tflite").read_bytes()) == 1


@needs_lce
def test_a_file_that_its_interpreter_refuses_is_said_in_a_line(data, monkeypatch, tmp_path):
    """Whatever the reasons that are known."""
    monkeypatch.setattr(lce, "_why_float", lambda layer, input_bits: None)
    with pytest.raises(export.Unsupported, match="larq-compute-engine made a file that it cannot run itself"):
        saved(one_convolution(groups=2), tmp_path, ["lce"], data[0][:16, :8, :8])
    assert list(tmp_path.iterdir()) == []


@needs_lce
def test_a_convolution_that_the_converter_leaves_in_float_is_found(monkeypatch, tmp_path):
    """Whatever the reasons that are known: the binary convolutions of the file are counted."""
    monkeypatch.setattr(lce, "_why_float", lambda layer, input_bits: None)
    with pytest.raises(export.Unsupported, match="made 0 of 1 quantized convolutions binary"):
        lce.write(with_a_zero_filter(), tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


# --- .tfq


def runtime():
    return pytest.importorskip("tfq.runtime.engine", reason="the engine is not there")


@pytest.mark.parametrize("method", ["float", "xnor", "ternary", "dorefa"])
def test_tfq_agrees_with_the_model(method, data, tmp_path):
    runtime()
    (report,) = tfq.export_model(trained(method, data), tmp_path, images=data[0][256:])
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
    model = trained("xnor", data)
    file.write(from_keras(model), tmp_path / "model.tfq")
    lines = table.by_layer(packed.sizes(tmp_path / "model.tfq")).splitlines()
    # The second convolution: 2,304 bits, 16 scales and 16 biases.
    (line,) = [line for line in lines if line.split()[:3] == [model.layers[3].name, "binary", "1"]]
    assert line.split()[3:5] == [str(2304 // 8 + 4 * 32), f"{4 * (2304 + 16):,}"]
    stored = sum(int(line.split()[-3].replace(",", "")) for line in lines[1:-1])
    assert int(lines[-1].split()[1].replace(",", "")) == stored < (tmp_path / "model.tfq").stat().st_size < stored + 2500


@tensorflow_only
@pytest.mark.parametrize(("name", "weight"), [("savedmodel", 4), ("keras", 4), ("tflite", 4), ("tflite_int8", 1), ("lce", 4)])
def test_every_format_says_the_bytes_of_each_layer(name, weight, xnor, data, tmp_path):
    """The first convolution has 432 weights and 16 biases, the second 2,304, binary ones in 9 words a filter, for 32 channels."""
    if name == "lce":
        pytest.importorskip("larq_compute_engine")
    (report,) = saved(xnor, tmp_path, [name], data[0][:128])
    rows = export.FORMATS[name].sizes(report.path)
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


def test_command_exports_a_run_without_the_code_that_made_it(run_directory, tmp_path):
    """As a process: `python -m tfq.export`, and a look at what it has loaded."""
    script = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('tfq.export', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'models', 'train', 'tfq.training.program'} & set(sys.modules)\n"
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


def test_a_run_is_exported_by_its_path(run_directory, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (report,) = tfq.export_model(run_directory, tmp_path, ["keras"])
    assert report.path == tmp_path / "model.keras"


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
        ([tmp_path, "--formats=onnx"], "export format 'onnx' is unknown"),
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


def test_formats_are_those_of_the_training_program():
    assert tuple(export.FORMATS) == choices.EXPORTS


def test_images_are_needed_for_a_model(floating, tmp_path):
    with pytest.raises(ValueError, match="give images="):
        tfq.export_model(floating, tmp_path)
