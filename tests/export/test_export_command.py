"""The command that exports: what a user can do wrong is one line, said before any work."""

import json
import re
import sys
import zipfile

import numpy as np
import pytest
from conftest import ROOT
from running import TINY, train

from tfq import export, optional, runtime
from tfq.backend.keras import backend, keras
from tfq.export import __main__ as program
from tfq.export import label_file, run, table
from tfq.export.formats import FORMATS
from tfq.graph import file
from tfq.training import checkpoint
from tfq.training.history import History
from tfq.training.run_directory import RunDirectory

# tf_keras has other messages, and other files.
pytestmark = pytest.mark.keras3_only

SLICE = ROOT / "tests" / "data" / "cifar10_slice.npz"
STATISTICS = {"pixel_mean": [0.5] * 3, "pixel_std": [0.2] * 3}


def network():
    x = keras.Input((32, 32, 3))
    return keras.Model(x, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a model file."""
    path = tmp_path_factory.mktemp("whole") / "model.keras"
    network().save(path)
    return path.read_bytes()


def fails(capsys, *arguments):
    """The one line that the command ends with."""
    assert program.main([str(argument) for argument in arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m tfq.export: error: ")
    return line


def refuses(capsys, *arguments):
    """What argparse says of the arguments."""
    with pytest.raises(SystemExit, match="2"):
        program.main([str(argument) for argument in arguments])
    return capsys.readouterr().err.splitlines()[-1]


def test_a_model_file_is_exported_and_compared_on_the_images_that_are_given(whole, tmp_path, capsys):
    path = tmp_path / "model.keras"
    path.write_bytes(whole)
    assert program.main([str(path), "--formats=keras", f"--images={SLICE}", "--count=16"]) == 0
    assert "16 images, same top-1 on 100.0%" in capsys.readouterr().out
    assert (tmp_path / "export" / "model.keras").is_file()


def halves(count):
    """uint8 images of two classes, by which half is brighter, and the classes."""
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(20, 120, (count, 4, 4, 3)), rng.integers(0, 2, count)
    pixels[labels == 1, :, :2] += 60
    pixels[labels == 0, :, 2:] += 60
    return pixels.astype("uint8"), labels


def brighter(preparation=(), bias=0.0):
    """A network that tells them: the left half less the right one, and less a bias."""
    head = keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((4, 4, 3)), *preparation, keras.layers.Flatten(), head])
    left = np.where(np.arange(48) // 3 % 4 < 2, 1, -1).reshape(48, 1)
    head.set_weights([np.concatenate([-left, left], axis=1), np.array([bias, -bias])])
    return model


def exported(model, tmp_path, *flags):
    """Status of the command, on a file of the model and one of the images."""
    x, y = halves(64)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    model.save(tmp_path / "own.keras")
    arguments = [tmp_path / "own.keras", f"--images={tmp_path / 'data.npz'}", f"--out={tmp_path / 'model.tfq'}", *flags]
    return program.main([str(argument) for argument in arguments])


@pytest.mark.slow
@pytest.mark.tensorflow_only
@pytest.mark.usefixtures("gcc")
def test_c_with_int8_edges(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(FORMATS, "c", FORMATS["c"])
    pixels = ["--pixel_mean=0.3", "--pixel_std=0.1"]
    assert exported(brighter(), tmp_path, "--formats=c", "--edges=int8", f"--out={tmp_path / 'out'}", *pixels) == 0
    assert "64 images, same top-1 on 100.0%" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "c" / "network.json").read_text())["int8_products"] == ["dense"]


@pytest.mark.parametrize(
    "preparation",
    [
        lambda: [keras.layers.Rescaling(1 / 127.5, -1)],
        lambda: [keras.layers.RandomFlip(), keras.layers.Normalization(mean=[90.0, 90, 90], variance=[900.0, 900, 900])],
        lambda: [keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Rescaling(1 / 255)])],
    ],
)
def test_pixels_that_the_model_prepares_are_prepared_once(preparation, tmp_path, capsys):
    """The statistics of the images are none of the model's."""
    assert exported(brighter(preparation()), tmp_path) == 0
    said = capsys.readouterr().out
    assert "data.npz: pixels are given to the model as they are, float32 from 0 to 255" in said
    assert "64 images, same top-1 on 100.0%" in said
    assert "with pixel_mean 0 and pixel_std 1/255 it would take uint8 ones too" in said
    assert "chance" not in said
    assert file.read(tmp_path / "model.tfq").pixel_mean is None
    x, y = halves(64)
    assert np.mean(runtime.load(tmp_path / "model.tfq").predict(x.astype("float32")).argmax(axis=1) == y) == 1
    # As they are.
    assert exported(brighter(preparation()), tmp_path, "--pixel_mean=0", "--pixel_std=1/255") == 0
    assert np.mean(runtime.load(tmp_path / "model.tfq").predict(x).argmax(axis=1) == y) == 1
    capsys.readouterr()
    assert exported(brighter(preparation()), tmp_path, "--pixel_mean=0.4,0.4,0.4", "--pixel_std=0.2") == 1
    assert "of the model prepares pixels from 0 to 255 itself, and pixel_mean and pixel_std would pre" in capsys.readouterr().err


def test_statistics_are_those_that_are_given(tmp_path, capsys):
    assert exported(brighter(), tmp_path, "--pixel_mean=0.3,0.4,0.5", "--pixel_std=0.25") == 0
    assert "as they are" not in capsys.readouterr().out
    graph = file.read(tmp_path / "model.tfq")
    np.testing.assert_array_equal(graph.pixel_mean, np.array([0.3, 0.4, 0.5], "float32"))
    np.testing.assert_array_equal(graph.pixel_std, np.full(3, 0.25, "float32"))
    assert exported(brighter(), tmp_path, "--pixel_mean=0.3") == 1
    assert "of pixel_mean and pixel_std only one is given" in capsys.readouterr().err
    assert "must be numbers with commas between" in refuses(capsys, tmp_path, "--pixel_mean=grey")


@pytest.mark.parametrize(("pixels", "is_said"), [(STATISTICS, True), ({}, False)])
def test_a_model_that_guesses_on_its_images_is_said(pixels, is_said, tmp_path):
    """Its bias is far above what it sees in pixels that are prepared in another way."""
    x, y = halves(64)
    images = x if pixels else x.astype("float32")
    (report,) = export.export_model(brighter(bias=100.0), tmp_path, ["keras"], images=images, targets=y, **pixels)
    assert ("labelled images, no better than chance among 2 classes" in str(report)) == is_said
    assert ("On their pixels from 0 to 255 it is right on 100.0%" in str(report)) == is_said


def test_a_file_of_bytes_that_changed_is_named(whole, tmp_path, capsys):
    path = tmp_path / "model.keras"
    with_other_bytes = bytearray(whole)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    without_members = path.read_bytes()
    place = whole.index(b"\x89HDF") + 100
    with_other_bytes[place : place + 50] = b"z" * 50
    for content, message in (
        (whole[: len(whole) // 2], "is no model of Keras: it is no zip file, or one that is cut off"),
        (b"", "is no model of Keras: it is no zip file, or one that is cut off"),
        (with_other_bytes, "is no model of this Keras: "),  # by the checksum or by HDF5, whichever sees it first
        (without_members, "is no model of this Keras: "),
    ):
        path.write_bytes(content)
        assert f"{path} {message}" in fails(capsys, path, f"--images={SLICE}")


class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def test_a_layer_that_is_not_known_is_named(tmp_path, capsys):
    x = keras.Input((4,))
    path = tmp_path / "model.keras"
    keras.Model(x, Doubling()(x)).save(path)
    line = fails(capsys, path, f"--images={SLICE}")
    assert line.endswith(f"{path} is no model of this Keras: Could not locate class 'Doubling'")


def test_the_reason_is_that_of_the_layer():
    error = TypeError("Functional could not be read.\n\nconfig={}\n\nException encountered: units must\nbe positive")
    assert run._reason(error) == "units must be positive"
    assert run._reason(KeyError()) == "KeyError"
    # Of an `.h5` file; to read one here would load a package that sets variables of this process.
    of_h5 = ValueError("Unknown layer: 'Doubling'. Please ensure you are using a `keras.utils.custom_object_scope`")
    assert run._reason(of_h5) == "Unknown layer: 'Doubling'"


def test_a_model_file_needs_images(whole, tmp_path, capsys):
    path = tmp_path / "model.keras"
    path.write_bytes(whole)
    assert "give --images=FILE.npz to compare on" in refuses(capsys, path)


@pytest.mark.parametrize("count", ["-5", "0", "15", "many"])
def test_too_few_images_are_refused(count, tmp_path, capsys):
    assert f"argument --count: must be an integer of 16 or more; got '{count}'" in refuses(capsys, tmp_path, f"--count={count}")


@pytest.mark.parametrize("count", [-5, 0, 15])
def test_too_few_images_of_a_run_are_refused(count, tmp_path):
    with pytest.raises(run.RunError, match=f"count must be an integer of 16 or more; got count={count}"):
        run.read(tmp_path, count=count)


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        (json.dumps({"pixel_std": [1, 1, 1]}), "has no pixel_mean, without which pixels cannot be prepared"),
        ("[]", "is no summary of a run"),
        ("{", "is no summary of a run"),
    ],
)
def test_a_summary_without_statistics_is_named(summary, message, tmp_path, capsys):
    directory = RunDirectory(tmp_path)
    checkpoint.save(network(), directory.best, History([{"epoch": 0}]))
    directory.summary.write_text(summary)
    assert f"{directory.summary} {message}" in fails(capsys, tmp_path, f"--images={SLICE}")


def test_the_table_of_a_network_without_weights_has_no_ratio():
    assert table.by_layer([]).splitlines()[-1].split() == ["total", "0", "0", "-"]
    assert table.by_layer([("conv", "binary", 10, 320)]).splitlines()[-1].split() == ["total", "10", "320", "32.0x"]


# --- found before any work


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"formats": "tfq"}, 'formats must be a list of names, each once, such as ["tfq", "tflite"]; got \'tfq\''),
        ({"formats": []}, "formats must be a list of names"),
        ({"formats": ["tfq", "tfq"]}, "formats must be a list of names, each once"),
        ({"formats": [["tfq"]]}, "export format ['tfq'] is unknown"),
        ({"formats": 3}, "formats must be a list of names"),
        ({"formats": ["tfq", "gguf"]}, "export format 'gguf' is unknown; known are savedmodel, keras"),
        ({"formats": ["tfq"], "images": 15}, "on 16 images or more; got 15"),
        ({"formats": ["tfq"], "directory": SLICE}, "cifar10_slice.npz is a file"),
    ],
)
def test_what_cannot_be_exported_is_said(given, message):
    with pytest.raises(export.ExportError, match=re.escape(message)):
        export.check(**given)


@pytest.mark.parametrize(("format", "package"), [("tfq", "numba"), ("tfq", "safetensors"), ("lce", "larq_compute_engine")])
def test_a_package_that_a_format_needs_is_named(format, package, monkeypatch):
    monkeypatch.setattr("tfq.export.checks.backend", "tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow", sys.modules.get("tensorflow", sys))  # it stands before that of the format
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=re.escape(optional.missing(package))):
        export.check([format])


TEN = tuple("abcdefghij")


@pytest.mark.parametrize("format", ["keras", "tfq", *(["savedmodel", "tflite"] if backend == "tensorflow" else [])])
def test_names_of_the_classes_are_in_every_file(format, tmp_path):
    images = np.random.default_rng(0).normal(size=(16, 32, 32, 3)).astype("float32")
    for given in (TEN, ()):  # what was there before gives way
        (report,) = export.export_model(network(), tmp_path, [format], images=images, labels=given)
        found = file.read(report.path).labels if format == "tfq" else label_file.read(report.path)
        assert found == given


def test_names_of_the_classes_come_from_the_run_the_images_or_the_flag(whole, tmp_path, capsys):
    directory, model, mine = RunDirectory(tmp_path), tmp_path / "model.keras", tmp_path / "mine.npz"
    checkpoint.save(network(), directory.best, History([{"epoch": 0}]))
    model.write_bytes(whole)
    with np.load(SLICE) as arrays:
        np.savez(mine, **arrays, labels=TEN)

    def names(*arguments):
        assert program.main([*map(str, arguments), "--formats=keras", f"--out={tmp_path / 'out'}"]) == 0, capsys.readouterr().err
        return label_file.read(tmp_path / "out" / "model.keras")

    directory.write_flags({"dataset": "npz", "data_dir": str(mine)})
    assert run.class_names(tmp_path) == TEN  # of a run that was interrupted
    statistics = {"pixel_mean": [0.5] * 3, "pixel_std": [0.2] * 3}
    directory.write_json(directory.summary, statistics | {"labels": list("0123456789")})
    assert names(tmp_path, f"--images={SLICE}") == tuple("0123456789")
    assert names(tmp_path, f"--images={SLICE}", f"--labels={','.join(TEN)}") == TEN
    directory.write_json(directory.summary, statistics)  # of an earlier version
    directory.write_flags({"dataset": "cifar10"})
    assert run.class_names(tmp_path)[3] == "cat"
    assert run.class_names(model) == ()
    assert names(model, f"--images={mine}") == TEN
    assert "labels must name each of the 10 classes; got 2 labels" in fails(capsys, model, f"--images={mine}", "--labels=a,b")
    assert "--labels=nowhere is neither a file" in fails(capsys, model, f"--images={mine}", "--labels=nowhere")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pixel_mean": [0.5] * 3}, "of pixel_mean and pixel_std only one is given"),
        ({**STATISTICS, "pixel_mean": 0.5}, "pixel_mean must be finite numbers, one a channel; got 0.5"),
        (
            {**STATISTICS, "pixel_mean": [0.5, float("nan"), 0.5]},
            "pixel_mean must be finite numbers, one a channel; got [0.5, nan",
        ),
        (
            {**STATISTICS, "pixel_std": [0.2, 0, 0.2]},
            "pixel_std must be above 0 and of pixels scaled to [0, 1]; got [0.2, 0.0, 0.2]",
        ),
        ({**STATISTICS, "pixel_mean": [125.0, 123.0, 114.0]}, "pixel_mean must be of pixels scaled to [0, 1]; got [125.0, 123.0"),
        ({"labels": ["two\nlines"] * 10}, "each label must be a line of 1 to 500 characters; got 'two\\nlines'"),
        (
            {"targets": np.full(16, 10)},
            "targets must be one integer class for each of 16 images, from 0 to 9; got (16,), int64, 10 to 10",
        ),
        ({"targets": np.zeros(15, int)}, "for each of 16 images, from 0 to 9; got (15,), int64"),
        ({"count": 20}, "count is for the test images of a run; got count=20 with images"),
        ({**STATISTICS, "pixel_mean": [0.5] * 4}, "pixel_mean must have one value for each of 3 channels; got 4"),
        ({"labels": "abcdefghij"}, "labels must be a list of texts; got 'abcdefghij'"),
        ({"labels": ["cat", 3]}, "each label must be a line of 1 to 500 characters; got 3"),
        ({"labels": ["cat", "dog"]}, "labels must name each of the 10 classes; got 2 labels"),
    ],
)
def test_statistics_and_labels_that_do_not_fit_are_said(given, message, tmp_path):
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(ValueError, match=re.escape(message)):
        export.export_model(model, tmp_path / "export", images=np.zeros((16, 8, 8, 3), "float32"), **given)
    assert not (tmp_path / "export").exists()


def test_a_format_that_fails_does_not_silence_those_before_it(tmp_path):
    model, reports = network(), []
    images = np.random.default_rng(0).normal(size=(16, *model.input_shape[1:])).astype("float32")

    def full(report):
        reports.append(report)
        if report.format == "keras":
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        export.export_model(model, tmp_path, ["tfq", "keras"], images=images, log=full)
    assert [report.format for report in reports] == ["tfq", "keras"]
    assert all(report.path.exists() for report in reports)


def test_too_few_test_images_are_found_before_the_training(tmp_path):
    with np.load(SLICE) as arrays:
        few = {name: values[:10] if name.endswith("test") else values for name, values in arrays.items()}
    np.savez(tmp_path / "few.npz", **few)
    flags = [*TINY, f"--data_dir={tmp_path / 'few.npz'}", "--export=tfq", f"--run_dir={tmp_path / 'run'}"]
    result = train("--flagfile=configs/xnor.cfg", *flags)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "train.py: error: export compares each file with the model on 16 images or more; got 10"
    )
    assert not (tmp_path / "run" / "history.csv").exists()


def test_the_exported_file_itself_stays(tmp_path, capsys):
    network().save(tmp_path / "model.keras")
    before = (tmp_path / "model.keras").read_bytes()
    arguments = [tmp_path / "model.keras", f"--images={SLICE}", "--formats=tfq, keras", f"--out={tmp_path}"]
    assert "would be replaced by its own export: export to another directory" in fails(capsys, *arguments)
    assert (tmp_path / "model.keras").read_bytes() == before
    assert "nor a model file of that name" in fails(capsys, tmp_path / "nowhere.keras")


def test_an_artifact_that_prepares_pixels_otherwise_is_refused(tmp_path, monkeypatch):
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), np.uint8)
    export.export_model(model, tmp_path, images=pixels, **STATISTICS)

    def one_step_brighter(path):
        predict = FORMATS["tfq"].load(path)
        return lambda images: predict(np.minimum(images, 254) + np.uint8(1))

    monkeypatch.setattr(FORMATS["tfq"], "load_uint8", one_step_brighter)
    with pytest.raises(export.ExportMismatch, match="the exported tfq on uint8 images does not compute"):
        export.export_model(model, tmp_path, images=pixels, **STATISTICS)


@pytest.mark.parametrize(
    ("dtype", "values", "message"),
    [
        ("float32", np.nan, "the images to compare on hold values that are not finite"),
        ("uint8", 0, "export takes a model whose input is float32, and prepares uint8 pixels itself; got a uint8 input"),
    ],
)
def test_images_and_inputs_that_no_export_takes(dtype, values, message, tmp_path):
    x = keras.Input((8,), dtype=dtype)
    model = keras.Model(x, keras.layers.Dense(10)(keras.layers.Rescaling(1.0)(x)))
    with pytest.raises(export.ExportError, match=message):
        export.export_model(model, tmp_path, images=np.full((16, 8), values, "float32"))


def test_a_layer_of_lower_precision_is_named(tmp_path):
    x = keras.Input((8,))
    model = keras.Model(x, keras.layers.Dense(10, dtype="mixed_bfloat16", name="head")(x))
    with pytest.raises(export.ExportError, match="layer 'head' computes in bfloat16"):
        export.export_model(model, tmp_path, images=np.zeros((16, 8), "float32"))


def test_statistics_and_targets_of_a_run_are_not_replaced_in_silence(tmp_path):
    with pytest.raises(export.ExportError, match="of pixel_mean and pixel_std only one is given"):
        export.export_model(tmp_path, tmp_path / "out", pixel_std=[0.2] * 3)
    with pytest.raises(export.ExportError, match="targets are the classes of images that are given"):
        export.export_model(tmp_path, tmp_path / "out", targets=[1, 2])
