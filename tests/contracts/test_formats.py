"""Every export format keeps its contract, one from outside too; a wrong one is found."""

import importlib.util
import json

import numpy as np
import pytest

from tfq import export
from tfq.backend.keras import backend, keras
from tfq.backend.keras import ops as keras_ops
from tfq.c.edges import INT8
from tfq.c.layouts import LAYOUTS
from tfq.c.residuals import INT16
from tfq.export.formats import FORMATS, unfit
from tfq.export.formats.c import CSource
from tfq.testing import ContractError, check_format
from tfq.testing.formats import small_model

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


def needs(name):
    missing = [package for package in FORMATS[name].needs if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(missing or unfit([name], backend)), reason=f"needs another backend, or {missing}")


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in FORMATS])
def test_every_format_keeps_its_contract(name, model):
    check_format(FORMATS[name], model)


@pytest.mark.slow
@pytest.mark.tensorflow_only
@pytest.mark.usefixtures("gcc")
def test_c_in_the_folders_of_a_build_system(model):
    check_format(CSource(layout=LAYOUTS["arduino"]), model)


@pytest.mark.slow
@pytest.mark.tensorflow_only
@pytest.mark.usefixtures("gcc")
def test_c_with_int8_edges(model):
    check_format(CSource(edges=INT8), model)


@pytest.mark.slow
@pytest.mark.tensorflow_only
@pytest.mark.usefixtures("gcc")
def test_c_with_residual_sums_in_16_bits(model):
    check_format(CSource(residual=INT16), model)


class Toy(export.Format):
    """A directory with the weights and the architecture, such as a user may want."""

    name = "toy"
    filename = "toy_export"
    marker = "toy.json"
    holds_labels = True
    float32_only = False

    def save(self, model, path, sample):
        path.mkdir()
        np.savez(path / "weights.npz", *model.get_weights())
        described = {"model": json.loads(model.to_json()), "labels": list(sample.labels)}
        (path / self.marker).write_text(json.dumps(described))

    def load(self, path):
        with export.reading(path, "toy"):
            described = json.loads((path / self.marker).read_text())
            model = keras.models.model_from_json(json.dumps(described["model"]))
            with np.load(path / "weights.npz") as arrays:
                model.set_weights([arrays[f"arr_{number}"] for number in range(len(arrays))])
        return lambda images: keras_ops.convert_to_numpy(model(images, training=False))


@pytest.fixture
def table():
    """The formats, which are as before when the test ends."""
    before = dict(FORMATS)
    yield FORMATS
    FORMATS.clear()
    FORMATS.update(before)


def test_a_format_from_outside_keeps_the_contract_and_leaves_the_table_as_it_was():
    before = dict(FORMATS)
    check_format(Toy())  # on the model of the contract
    assert before == FORMATS


def test_a_format_from_outside_is_exported_to_beside_others(model, table, tmp_path):
    export.register_format(Toy())
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    for _ in range(2):  # the second time it replaces its own
        reports = export.export_model(model, tmp_path, ["toy", "keras"], images=images)
    assert [(report.format, report.path) for report in reports] == [
        ("toy", tmp_path / "toy_export"),
        ("keras", tmp_path / "model.keras"),
    ]
    assert reports[0].by_layer() == "toy does not say the bytes of each layer"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "toy_export"]


class OtherWeights(Toy):
    def save(self, model, path, sample):
        super().save(model, path, sample)
        np.savez(path / "weights.npz", *[weights * 1.1 for weights in model.get_weights()])


class Untidy(Toy):
    def save(self, model, path, sample):
        super().save(model, path, sample)
        (path.parent / "log.txt").touch()


class Unmarked(Toy):
    marker = "another.json"

    def save(self, model, path, sample):
        Toy().save(model, path, sample)


class OnlyOne(Toy):
    def load(self, path):
        predict = super().load(path)
        return lambda images: predict(images[:1])


class Stale(Toy):
    """Its file holds what an earlier export has left."""

    _first: dict = {}  # noqa: RUF012, what makes it wrong

    def load(self, path):
        return self._first.setdefault("predict", super().load(path))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (OtherWeights, "cannot be exported: the exported toy does not compute what the model computes"),
        (Untidy, "it left log.txt, toy_export, beside its artifact"),
        (Unmarked, "wrote no directory with another.json in it"),
        (OnlyOne, "cannot be exported"),
        (Stale, "an artifact of other weights is taken for a good one"),
    ],
)
def test_a_wrong_format_does_not_pass(wrong, said, model):
    with pytest.raises(ContractError, match=f"^toy: .*{said}"):
        check_format(wrong(), model)


def test_a_misspelt_attribute_is_an_error():
    with pytest.raises(TypeError, match=r"Slip.lossi is no attribute of an export format: did you mean 'lossy'\?"):
        type("Slip", (Toy,), {"lossi": (0.9, 0.1)})
    with pytest.raises(TypeError, match=r"Slip.lossy must be a Lossy\(least_top1, most_difference\), or None; got \(0.9, 0.1\)"):
        type("Slip", (Toy,), {"lossy": (0.9, 0.1)})
    with pytest.raises(TypeError, match=r"Slip.needs must be a tuple of names of packages; got 'numpy'"):
        type("Slip", (Toy,), {"needs": "numpy"})
    with pytest.raises(TypeError, match=r"Slip\.helper is no attribute of an export format: names of its own begin with _"):
        type("Slip", (Toy,), {"helper": 1})


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"name": "tfq"}, "there is an export format 'tfq' already"),
        ({"filename": "model.keras"}, "export format 'toy' would write model.keras, as 'keras' does"),
        ({"name": "a,b"}, "name must be letters, digits and _; got 'a,b'"),
        ({"filename": "a/b"}, "filename must be the name of a file, without a folder; got 'a/b'"),
        ({"marker": ""}, "marker must be the name of a file"),
    ],
)
def test_a_format_that_does_not_fit_into_the_table_is_refused(attributes, said, table):
    with pytest.raises(ValueError, match=said):
        export.register_format(type("Other", (Toy,), attributes)())
    assert "toy" not in table


def test_only_formats_are_registered(table):
    for wrong in (object(), object, "toy"):
        with pytest.raises(TypeError, match=r"an export format is a subclass of tfq.export.Format, or an instance of one; got"):
            export.register_format(wrong)
    with pytest.raises(ValueError, match="Empty has no save"):
        export.register_format(type("Empty", (export.Format,), {"name": "empty", "filename": "empty"})())
    assert export.register_format(Toy) is Toy  # as a decorator does
    assert type(table["toy"]) is Toy
    first, again = Toy(), Toy()
    export.register_format(first)
    assert export.register_format(again) is table["toy"]  # as a notebook does
