"""Exported files compute what the model computes, on real images after a short training; one that does not gets no name."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exporting import QUANTIZERS, cifar10_slice, trained
from running import sampled, slow_on

from tfq import export
from tfq.backend.keras import backend, keras
from tfq.export import checks, verify
from tfq.export.formats.savedmodel import SavedModel
from tfq.export.formats.tflite import TFLite
from tfq.layers import BatchNormalization, QuantActivation, QuantDense
from tfq.quantizers import DoReFaInputs, DoReFaWeights, XnorInputs

tensorflow_only = pytest.mark.tensorflow_only


@pytest.fixture(scope="module")
def data():
    return cifar10_slice()


@pytest.fixture
def dorefa():
    return trained("dorefa")


@tensorflow_only
@pytest.mark.parametrize("method", sampled(QUANTIZERS, {"dorefa"}, "tf_keras"))
def test_exports_agree_with_the_model(method, data, tmp_path, capfd):
    model = trained(method)
    capfd.readouterr()
    reports = export.save(model, tmp_path / "new" / "export", images=data[0][256:])
    assert capfd.readouterr() == ("", "")  # the converter is talkative
    assert [(report.format, report.path.name) for report in reports] == [("savedmodel", "savedmodel"), ("tflite", "model.tflite")]
    for report in reports:
        assert report.agreement.images == 128
        assert report.agreement.top1_agreement >= 0.99
        assert report.agreement.median_difference <= 1e-4
    assert reports[0].agreement.max_relative_difference <= 1e-5  # the same TensorFlow kernels
    assert reports[1].bytes == (tmp_path / "new" / "export" / "model.tflite").stat().st_size
    assert f"{reports[1].bytes:,} bytes" in str(reports[1])
    assert sorted(path.name for path in (tmp_path / "new" / "export").iterdir()) == ["model.tflite", "savedmodel"]


@tensorflow_only
@slow_on("tf_keras")
def test_savedmodel_serves_without_this_library(dorefa, data, tmp_path):
    SavedModel().save(dorefa, tmp_path / "saved")
    np.save(tmp_path / "images.npy", data[0][:3])
    script = (
        "import sys, numpy as np, tensorflow as tf\n"
        "serve = tf.saved_model.load(sys.argv[1] + '/saved').signatures['serving_default']\n"
        "np.save(sys.argv[1] + '/logits.npy', serve(images=tf.constant(np.load(sys.argv[1] + '/images.npy')))['logits'])\n"
        "assert 'tfq' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True)
    # The same kernels, but blocked for another batch size.
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), dorefa.predict(data[0][:3], verbose=0), rtol=1e-4, atol=1e-4)


@tensorflow_only
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("format", [SavedModel, TFLite])
def test_batch_size_may_change_from_call_to_call(format, dorefa, data, tmp_path):
    format().save(dorefa, tmp_path / "artifact")
    predict = format().load(tmp_path / "artifact")
    assert [predict(data[0][:n]).shape for n in (5, 1, 8)] == [(5, 10), (1, 10), (8, 10)]


# --- a wrong artifact


class ScaledKernel(SavedModel):
    """What a converter would do that computes one scale a little differently."""

    name = filename = "another"

    def save(self, model, path, sample=None):
        weights = model.get_weights()
        try:
            model.set_weights([weights[0] * np.float32(1.05), *weights[1:]])
            super().save(model, path, sample)
        finally:
            model.set_weights(weights)


@tensorflow_only
@pytest.mark.parametrize("method", sampled(QUANTIZERS, {"xnor"}, "tf_keras"))
def test_wrong_artifact_is_found_and_gets_no_name(method, data, tmp_path, monkeypatch):
    model = trained(method)
    weights = model.get_weights()
    monkeypatch.setitem(export.FORMATS, "another", ScaledKernel())
    with pytest.raises(export.ExportMismatch, match="the exported another does not compute what the model computes"):
        export.save(model, tmp_path, ["another"], images=data[0])
    assert list(tmp_path.iterdir()) == []
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@tensorflow_only
@slow_on("tf_keras")
def test_failed_export_keeps_the_earlier_one(dorefa, data, tmp_path, monkeypatch, capfd):
    export.save(dorefa, tmp_path, ["savedmodel"], images=data[0][:16])
    before = (tmp_path / "savedmodel" / "saved_model.pb").read_bytes()

    class Broken(SavedModel):
        def save(self, model, path, sample=None):
            super().save(model, path, sample)
            print("said before it failed")
            raise OSError("disk full")

    monkeypatch.setitem(export.FORMATS, "savedmodel", Broken())
    with pytest.raises(OSError, match="disk full"):
        export.save(dorefa, tmp_path, ["savedmodel"], images=data[0][:16])
    assert "said before it failed" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["savedmodel"]
    assert (tmp_path / "savedmodel" / "saved_model.pb").read_bytes() == before


@tensorflow_only
@slow_on("tf_keras")
def test_export_replaces_what_an_earlier_or_killed_one_left(dorefa, data, tmp_path):
    for name in ("savedmodel", ".partial-savedmodel"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stale").touch()
    (tmp_path / "savedmodel" / "saved_model.pb").touch()
    (tmp_path / ".partial-model.tflite").write_text("half")
    reports = export.save(dorefa, tmp_path, images=data[0][:16])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.tflite", "savedmodel"]
    assert not (reports[0].path / "stale").exists()


@pytest.mark.parametrize("name", ["keras", "tfq"])
def test_a_directory_that_no_export_made_stays(name, tmp_path):
    path = tmp_path / export.FORMATS[name].filename
    path.mkdir()
    (path / "precious.txt").touch()
    with pytest.raises(ValueError, match=f"{path.name} is a directory that no export made"):
        export.save(identity(), tmp_path, [name], images=np.zeros((16, 10), "float32"))
    assert (path / "precious.txt").exists()


def test_a_path_with_the_ending_of_its_format_is_the_file(tmp_path, monkeypatch):
    images = np.random.default_rng(0).normal(size=(16, 10)).astype("float32")
    monkeypatch.chdir(tmp_path)
    for path in ("mine.keras", tmp_path / "new" / "mine.keras"):
        (report,) = export.export_model(identity(), path, ["keras"], images=images)
        assert (str(report.path), report.path.is_file()) == (str(path), True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.keras", "new"]
    (tmp_path / "old.keras").mkdir()
    assert checks.paths("old.keras", ["keras"]) == [Path("old.keras/model.keras")]
    assert checks.paths("OWN.TFQ", ["tfq"]) == [Path("OWN.TFQ")]
    assert checks.paths("v1.2", ["tfq"]) == [Path("v1.2/model.tfq")]
    assert checks.paths("out", ["keras", "tfq"]) == [Path("out/model.keras"), Path("out/model.tfq")]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("m.tfq", ["keras"]), ("m.keras", ["keras", "tfq"]), ("M.TFQ", ["keras"]), ("m.onnx", ["tfq"]), ("m.h5", ["keras"])],
)
def test_a_path_with_the_ending_of_another_format_is_refused(name, wanted, tmp_path):
    with pytest.raises(export.ExportError, match=f"{name} is the name of one .* for formats {', '.join(wanted)}: give a dir"):
        export.export_model(identity(), tmp_path / name, wanted, images=np.zeros((16, 10), "float32"))
    assert list(tmp_path.iterdir()) == []


class Doubled(keras.layers.Layer):
    """Of a class that Keras does not find again."""

    def call(self, x):
        return 2 * x


def test_a_model_that_keras_cannot_load_again_is_a_line(tmp_path):
    model = keras.Sequential([keras.Input((10,)), Doubled()])
    with pytest.raises(export.Unsupported, match="Keras cannot load the model that it saved: ") as error:
        export.save(model, tmp_path, ["keras"], images=np.zeros((16, 10), "float32"))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_directory_is_said(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ValueError, match=r"exports go into a directory; .*out is a file"):
        export.save(identity(), tmp_path / "out", ["keras"], images=np.zeros((16, 10), "float32"))


# --- the rule: with logits of 100 images and a model that is the identity of its "images"


@pytest.fixture(scope="module")
def logits():
    return np.random.default_rng(0).normal(size=(100, 10)).astype("float32")


def identity():
    x = keras.Input((10,))
    return keras.Model(x, keras.layers.Activation("linear")(x))


def changed(images, count, by):
    """The first logits of `count` images changed by `by` times the largest of all logits."""
    images = images.copy()
    images[:count, 0] += by * np.abs(images).max()
    return images


def test_agreement_by_hand():
    expected = np.array([[4.0, 0], [0, 2], [1, 0]], "float32")
    agreement = verify.agree(np.array([[4.0, 0], [0, 2.0001], [0.5, 0.6]], "float32"), expected)
    assert agreement.images == 3
    assert agreement.median_difference == pytest.approx(0.0001 / 4, rel=1e-2)  # float32 holds 2.0001 to 1e-7
    assert agreement.max_relative_difference == pytest.approx(0.6 / 4)
    assert (agreement.within_tolerance, agreement.top1_agreement) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_two_classes_within_the_tolerance_of_each_other_are_one():
    """As logits of a head of one scale tie: where the order of sums decides, no image has another class."""
    expected = np.array([[2.0, 2, 0], [1, 1.0001, 0], [1, 1.0003, 0], [0, 0, 2]], "float32")
    logits = expected + np.array([[0, 1e-6, 0], [3e-4, 0, 0], [4e-4, 0, 0], [0, 0, 0]], "float32")
    np.testing.assert_array_equal(verify.top1(logits, expected), [0, 1, 0, 2])  # the third is more than 1e-4 of 2 apart
    assert verify.agree(logits, expected).top1_agreement == 0.75
    # A wrong file that ties where the model does not has other classes all the same.
    assert verify.agree(np.ones_like(expected), expected).top1_agreement == 0.5
    assert verify.agree(-expected, expected).top1_agreement == 0


@tensorflow_only
def test_a_head_whose_logits_tie_exactly_is_exported(tmp_path):
    """Of signs and one scale: integers times one number, with a bias of none."""
    keras.utils.set_random_seed(0)
    x = keras.Input((64,))
    head = QuantDense(10, input_quantizer=XnorInputs(), kernel_quantizer=DoReFaWeights(1), use_bias=False)
    model = keras.Model(x, head(BatchNormalization()(x)))
    images = np.random.default_rng(0).normal(size=(256, 64)).astype("float32")
    logits = np.sort(model.predict(images, verbose=0), axis=1)
    assert np.mean(logits[:, -1] == logits[:, -2]) > 0.1

    def other_order(batch):
        """The same numbers, but for a rounding that prefers later classes."""
        return model.predict(batch, verbose=0) * (1 + np.arange(10, dtype="float32") * np.float32(2e-7))

    agreement = verify.compare("x", model, other_order, images)
    assert agreement.top1_agreement == 1


def test_rounding_passes(logits):
    agreement = verify.compare("x", identity(), lambda images: changed(images, len(images), 0.9e-4), logits)
    assert (agreement.beyond, agreement.unexplained) == (0, None)


def signs():
    x = keras.Input((10,))
    return keras.Model(x, QuantActivation(XnorInputs())(x))


@pytest.mark.parametrize("nearest", [0.9e-5, 1.1e-5])
def test_one_image_in_a_hundred_may_differ_where_a_value_lies_next_to_a_boundary(logits, nearest):
    """Of which the first value is so many deviations of its channel from 0, and all others are far from it."""
    images = np.where(abs(logits) < 0.01, 1, logits)
    images[7, 0] = 0
    images[7, 0] = nearest * images[:, 0].std(dtype=np.float64)

    def other_side(images):
        return np.where((images >= 0) & ~(abs(images) < 0.01), 1, -1).astype("float32")

    if nearest < verify.NEAR:
        agreement = verify.compare("x", signs(), other_side, images)
        assert (agreement.beyond, agreement.unexplained) == (1, 0)
        assert "1 beyond 0.0001, 1 of them with a value within 1e-05 deviations of a boundary" in str(agreement)
    else:
        with pytest.raises(export.ExportMismatch, match=r"1 beyond 0\.0001, 0 of them with a value within 1e-05 deviations"):
            verify.compare("x", signs(), other_side, images)


def test_one_image_that_differs_is_refused_where_nothing_is_quantized(logits):
    with pytest.raises(export.ExportMismatch, match="without such a value an image must agree"):
        verify.compare(
            "x", identity(), lambda images: changed(images, 1, 0.5)[: len(images)] if len(images) > 1 else images, logits
        )


@pytest.mark.parametrize("logits_of", [lambda x: x + np.float32(1e-3), lambda x: x[:, ::-1], lambda x: x * np.float32("nan")])
def test_wrong_logits_are_refused(logits, logits_of):
    with pytest.raises(export.ExportMismatch):
        verify.compare("x", identity(), logits_of, logits)


def test_images_of_logits_are_compared_as_a_whole():
    """As those of a network without a head; the rule has to look at where they differ."""
    x = keras.Input((4, 4, 3))
    model, images = keras.Model(x, QuantActivation(XnorInputs())(x)), np.full((100, 4, 4, 3), 0.5, "float32")
    images[7, 2, 2, 1] = 0

    def other_side(images):
        return np.where(images > 0, 1, -1).astype("float32")

    agreement = verify.compare("x", model, other_side, images)
    assert (agreement.beyond, agreement.unexplained) == (1, 0)


def test_other_number_of_logits_is_refused(logits):
    with pytest.raises(export.ExportMismatch, match=r"shape \(100, 9\), the model of shape \(100, 10\)"):
        verify.compare("x", identity(), lambda x: x[:, :9], logits)


def test_rounding_that_the_model_itself_does_not_survive_passes():
    """Values halfway between two levels: a model of 8 bits takes the even one, an artifact may take the upper one."""
    x = keras.Input((10,))
    model = keras.Model(x, QuantActivation(DoReFaInputs(8))(x))
    images = ((np.random.default_rng(0).integers(0, 200, (100, 10)) + 0.5) / 255).astype("float32")
    # The top-1 class is not the question here: it is clear.
    images[np.arange(100), np.arange(100) % 10] = 1

    def upper(images):
        return (np.floor(images * 255 + 0.5) / 255).astype("float32")

    agreement = verify.compare("x", model, upper, images)
    assert agreement.within_tolerance < 0.1
    assert agreement.max_relative_difference == pytest.approx(1 / 255, rel=1e-3)
    with pytest.raises(export.ExportMismatch, match=r"rounding explains 1\.6e-02 in the median"):
        verify.compare("x", model, lambda images: upper(images) + np.float32(0.02), images)


# --- errors


def test_unknown_format_is_named():
    with pytest.raises(
        ValueError,
        match="export format 'gguf' is unknown; known are savedmodel, keras, tflite, tflite_int8, lce, onnx, qonnx, tfq",
    ):
        export.check(["tflite", "gguf"])


@pytest.mark.skipif(backend == "tensorflow", reason="needs a backend other than TensorFlow")
def test_other_backend_is_refused(tmp_path):
    with pytest.raises(ValueError, match=f"export to tflite needs the tensorflow backend, this run uses {backend}"):
        export.check(["tfq", "tflite"])
    export.check(["tfq", "keras"])


@tensorflow_only
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((16, 32, 32, 1), "float32"), r"got shape \(16, 32, 32, 1\), dtype float32"),
        (np.zeros((16, 32, 32, 3), "uint8"), "uint8 images need pixel_mean and pixel_std"),
        (np.zeros((16, 32, 32, 3), "float64"), "dtype float64"),
        (np.zeros((15, 32, 32, 3), "float32"), r"16 or more float32 images of shape \(32, 32, 3\)"),
        ([1, 2], "dtype list"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message, dorefa, tmp_path):
    with pytest.raises(ValueError, match=message):
        export.save(dorefa, tmp_path / "out", images=images)
    assert not (tmp_path / "out").exists()


@tensorflow_only
def test_model_of_two_outputs_is_refused(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, [keras.layers.Dense(2)(x), keras.layers.Dense(3)(x)])
    with pytest.raises(ValueError, match="one input and one output; got 1 inputs, 2 outputs"):
        export.save(model, tmp_path, images=np.zeros((16, 4), "float32"))
