"""Files in a further runtime, such as TensorFlow Lite's in ai-edge-litert: equal outputs, or there is no file."""

import importlib.util

import numpy as np
import pytest
from exporting import cifar10_slice, trained
from running import slow_on

from tfq import export
from tfq.export import verify
from tfq.export.format import Lossy
from tfq.export.formats.keras_file import KerasFile
from tfq.export.formats.tflite import TFLite, litert
from tfq.export.formats.tflite_int8 import TFLiteInt8

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
needs_litert = [
    pytest.mark.tensorflow_only,
    pytest.mark.skipif(importlib.util.find_spec("ai_edge_litert") is None, reason="needs ai-edge-litert"),
]


@pytest.fixture(scope="module")
def images():
    return cifar10_slice()[0][:64]


@pytest.fixture(scope="module")
def model():
    return trained("float")


@pytest.fixture(scope="module")
def logits(model, images):
    """The function of an artifact, and what it computes."""

    def predict(batch):
        return verify.keras_logits(model, batch)

    return predict, verify._logits(predict, images)


def with_litert(*fast, slow=()):
    marked = [pytest.param(value, marks=needs_litert) for value in fast]
    return [*marked, *(pytest.param(value, marks=[*needs_litert, pytest.mark.slow]) for value in slow)]


@pytest.mark.parametrize("method", with_litert("float", slow=("xnor", "ternary", "dorefa")))
def test_tflite_files_have_equal_outputs_in_ai_edge_litert(method, images, tmp_path):
    formats = ["tflite", "tflite_int8"] if method == "float" else ["tflite"]
    for report in export.save(trained(method), tmp_path, formats, images=images):
        assert f"{report.format} in ai-edge-litert: equal outputs" in str(report)
        (other,) = export.FORMATS[report.format].other_runtimes(report.path).values()
        np.testing.assert_array_equal(other(images), export.FORMATS[report.format].load(report.path)(images))
        assert other(images[:1]).shape == (1, 10)


@pytest.mark.parametrize("kind", with_litert(TFLite, slow=(TFLiteInt8,)))
def test_a_file_that_ai_edge_litert_computes_otherwise_is_not_written(kind, model, images, tmp_path, monkeypatch):
    (other,) = export.save(trained("ternary"), tmp_path / "other", ["tflite"], images=images)

    class Otherwise(kind):
        def other_runtimes(self, path):
            return litert(other.path)

    monkeypatch.setitem(export.FORMATS, kind.name, Otherwise())
    with pytest.raises(export.ExportMismatch, match=f"the exported {kind.name} in ai-edge-litert does not compute what"):
        export.save(model, tmp_path / "own", [kind.name], images=images)
    assert not list((tmp_path / "own").iterdir())


@slow_on("tf_keras", "jax")
def test_each_further_runtime_is_in_the_report(model, images, tmp_path, monkeypatch):
    class Twice(KerasFile):
        def other_runtimes(self, path):
            return {"one": self.load(path), "another": self.load(path)}

    monkeypatch.setitem(export.FORMATS, "keras", Twice())
    (report,) = export.save(model, tmp_path, ["keras"], images=images[:16])
    assert report.notes == ("keras in one: equal outputs", "keras in another: equal outputs")


def scaled(predict, factor):
    return lambda batch: predict(batch) * np.float32(factor)


def test_another_order_of_float_sums_is_said(model, images, logits):
    predict, expected = logits
    text = verify.compare_runtimes("x", model, scaled(predict, 1 + 2**-16), predict, images, expected=expected)
    assert text == "x: relative difference of the outputs 1.5e-05 at most"


@pytest.mark.parametrize("factor", [0.999, -1, np.nan])
def test_other_outputs_are_an_error(factor, model, images, logits):
    predict, expected = logits
    with pytest.raises(export.ExportMismatch, match="the exported x does not compute"):
        verify.compare_runtimes("x", model, scaled(predict, factor), predict, images, expected=expected)


def test_of_a_format_of_integers_any_difference_is_an_error(model, images, logits):
    predict, expected = logits
    lossy = Lossy(least_top1=0.5, most_difference=0.5)
    assert verify.compare_runtimes("x", model, predict, predict, images, lossy, expected) == "x: equal outputs"
    with pytest.raises(export.ExportMismatch, match="does not compute what it computes in the first runtime"):
        verify.compare_runtimes("x", model, scaled(predict, 1 + 2**-20), predict, images, lossy, expected)
