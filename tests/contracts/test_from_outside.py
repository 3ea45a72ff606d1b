"""A quantizer, a layer, an operation and a format from a module outside of tfq, through everything, in one small network."""

import importlib
import importlib.util
import sys
import warnings
from functools import partial

import numpy as np
import pytest
from conftest import array

import models
import tfq
from models import methods
from tfq import quantizers, testing
from tfq.backend.keras import backend, keras, load_model
from tfq.convert import layers as converters
from tfq.convert import to_keras
from tfq.export.formats import FORMATS, unfit
from tfq.graph import nodes, operations
from tfq.layers import BatchNormalization, QuantConv2D

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")

IMAGE = (8, 8, 3)
IMAGES = np.random.default_rng(0).normal(size=(32, *IMAGE)).astype("float32")


@pytest.fixture(scope="module")
def own():
    """The user's module. What it has registered is gone when these tests end."""
    tables = (FORMATS, operations._OPERATIONS, converters.CONVERTERS, to_keras._LAYERS)
    before = [dict(table) for table in tables]
    sys.modules.pop("own_parts", None)  # a process may come back to these tests, after others
    yield importlib.import_module("own_parts")
    for table, kept in zip(tables, before, strict=True):
        table.clear()
        table.update(kept)


def network(own, with_operation=True):
    """The operation stands in front of, between and behind packed layers, by each of which it is quantized."""
    moved = own.CentredPReLU if with_operation else keras.layers.ReLU
    bits = {"input_quantizer": own.PACT(2), "kernel_quantizer": "PowerOfTwoSigns", "use_bias": False}
    x = keras.Input(IMAGE)
    y = moved(name="front")(BatchNormalization()(keras.layers.Conv2D(8, 3, strides=2)(x)))
    y = moved(name="between")(BatchNormalization()(QuantConv2D(8, 2, name="conv", **bits)(y)))
    del bits["use_bias"]
    y = moved(name="behind")(own.QuantPointwise(6, name="pointwise", **bits)(y))
    return keras.Model(x, keras.layers.Dense(4, name="head")(keras.layers.GlobalAveragePooling2D()(y)))


def trained(model):
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, np.arange(len(IMAGES)) % 4, batch_size=8, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def model(own):
    keras.utils.set_random_seed(0)
    return trained(network(own))


def test_training_moves_what_the_parts_keep(model):
    conv, front = model.get_layer("conv"), model.get_layer("front")
    (ceiling,) = (array(weight) for weight in conv.weights if "ceiling" in weight.name)
    assert np.isfinite(ceiling)
    assert ceiling != 1
    assert (array(front.center) != 0).all()
    assert len(np.unique(np.abs(array(model.get_layer("pointwise").quantized_kernel)), axis=0)) == 1


def test_the_summary_shows_their_bits(model):
    table = tfq.summary.summarize(model).table()
    rows = {line.split()[0]: line.split()[1:5] for line in table.splitlines() if line}
    assert rows["conv"] == ["QuantConv2D", "2x2x8", "2", "1"]
    assert rows["pointwise"] == ["QuantPointwise", "2x2x6", "2", "1"]
    assert rows["between"][:2] == ["CentredPReLU", "2x2x8"]


def test_a_saved_model_comes_back(model, own, tmp_path):
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(again(IMAGES)), array(model(IMAGES)))
    assert again.get_layer("conv").kernel_quantizer == own.PowerOfTwoSigns()
    assert type(again.get_layer("pointwise")) is own.QuantPointwise


def test_they_go_into_every_format(model, own, tmp_path):
    able = [name for name, format in FORMATS.items() if all(map(importlib.util.find_spec, format.needs))]
    able = [name for name in able if not unfit([name], backend) and not FORMATS[name].signs_only]
    assert {"arrays", "keras", "tfq"} <= set(able)
    reports = tfq.export_model(model, tmp_path, formats=able, images=IMAGES, labels=("a", "b", "c", "d"))
    assert [report.format for report in reports] == able
    assert (tmp_path / own.Arrays.filename).is_file()
    kinds = {name: kind for name, kind, *_ in FORMATS["tfq"].sizes(tmp_path / "model.tfq")}
    assert (kinds["conv"], kinds["pointwise"]) == ("binary 1", "binary 1")
    with pytest.warns(UserWarning, match=r"computed in NumPy, slowly: the runtime has no steps for 'front' \(MovedPReLU\)"):
        engine = tfq.runtime.load(tmp_path / "model.tfq")
    expected = array(model(IMAGES))
    np.testing.assert_allclose(engine.predict(IMAGES), expected, atol=1e-4 * np.abs(expected).max())
    again = tfq.load_packed(tmp_path / "model.tfq")
    np.testing.assert_allclose(array(again(IMAGES)), expected, atol=1e-4 * np.abs(expected).max())
    assert [type(layer) for layer in again.layers if "front" in layer.name] == [own.CentredPReLU]
    # The ceiling of the inputs is in the scale of the kernel now.
    kernels = [array(each.get_layer("pointwise").quantized_kernel).reshape(8, 6) for each in (again, model)]
    (ceiling,) = (array(weight) for weight in model.get_layer("pointwise").weights if "ceiling" in weight.name)
    np.testing.assert_allclose(kernels[0], ceiling * kernels[1], rtol=1e-6)


def test_without_the_operation_the_engine_is_the_compiled_one(own, tmp_path):
    pytest.importorskip("numba", reason="needs tfq[runtime]")
    model = network(own, with_operation=False)
    tfq.export_model(model, tmp_path / "mine.tfq", images=IMAGES)
    with warnings.catch_warnings(action="error"):
        engine = tfq.runtime.load(tmp_path / "mine.tfq")
    assert isinstance(engine, tfq.runtime.Engine)
    assert dict(engine.layers())["pointwise"] != "NumPy"


def test_a_part_without_a_form_is_said_by_its_name(model, own, tmp_path, monkeypatch):
    tfq.export_model(model, tmp_path / "mine.tfq", images=IMAGES)
    monkeypatch.delitem(to_keras._LAYERS, own.MovedPReLU)
    with pytest.raises(TypeError, match=r"'front' is a MovedPReLU, of which no layer of Keras is known: see tfq\.convert\."):
        tfq.load_packed(tmp_path / "mine.tfq")
    monkeypatch.delitem(converters.CONVERTERS, own.CentredPReLU)
    with pytest.raises(
        tfq.export.Unsupported, match=r"a CentredPReLU, .*of your own layers tell the form, tfq\.convert\.register"
    ):
        tfq.export.check_model(model, ["tfq"])


def test_each_keeps_its_contract(own):
    testing.check_quantizer(own.PowerOfTwoSigns())
    testing.check_quantizer(own.PACT(3))
    testing.check_layer(partial(own.QuantPointwise, 4), (3, 4, 2))
    testing.check_conversion(own.CentredPReLU(), (3, 4, 2))
    testing.check_operation(own.MovedPReLU("x", ("input",), np.ones(2, "float32"), np.ones(2, "float32")), (3, 4, 2))
    testing.check_format(own.Arrays)


def test_a_method_of_train_names_them(own, monkeypatch):
    monkeypatch.setattr(methods, "METHODS", dict(methods.METHODS))
    weights, activations = models.Operand((1,), "PowerOfTwoSigns"), models.Operand((None, 2, 3), "PACT", takes_bits=True)
    mine = models.register_method(models.Method("mine", weights, activations))
    assert models.register_method(models.Method("mine", weights, activations)) == mine  # as a notebook does
    with pytest.raises(ValueError, match="there is a method 'xnor' already"):
        models.register_method(models.Method("xnor", weights))
    model = models.build("resnet20", "mine", a_bits=3, depth=8, width=1)
    layer = next(layer for layer in model.layers if isinstance(layer, QuantConv2D))
    assert (layer.kernel_quantizer, layer.input_quantizer) == (own.PowerOfTwoSigns(), own.PACT(3))
    with pytest.raises(ValueError, match="a_bits=4 does not fit method='mine': it must be 2 or 3"):
        models.build("resnet20", "mine", a_bits=4)


# --- how they are registered


def test_names_are_known_and_not_taken_twice(own):
    assert quantizers.get("PACT") == own.PACT()
    assert quantizers.get(quantizers.serialize(own.PACT(4))) == own.PACT(4)
    again = type("PACT", (own.PACT,), {"__module__": own.__name__})
    assert quantizers.register_quantizer(again) is again  # as a notebook does
    quantizers.register_quantizer(own.PACT)
    for register, cls in (
        (quantizers.register_quantizer, type("PACT", (own.PACT,), {})),
        (quantizers.register_quantizer, type("XnorInputs", (quantizers.XnorInputs,), {})),
        (tfq.layers.register_layer, type("QuantConv2D", (QuantConv2D,), {})),
    ):
        with pytest.raises(ValueError, match=rf"a class {cls.__name__} is registered already, of (own_parts|tfq)"):
            register(cls)
    for register in (quantizers.register_quantizer, tfq.layers.register_layer):
        with pytest.raises(TypeError, match=r"expected a class that subclasses .*; got <class 'dict'>"):
            register(dict)


def test_converters_are_not_replaced_but_by_their_own_new_version(own):
    own.register_from_keras(own.CentredPReLU)(own.moved_prelu)
    own.register_to_keras(own.MovedPReLU)(own.rprelu)
    with pytest.raises(ValueError, match="CentredPReLU has a converter already"):
        own.register_from_keras(own.CentredPReLU)(own.rprelu)
    with pytest.raises(ValueError, match="MovedPReLU has a layer already"):
        own.register_to_keras(own.MovedPReLU)(own.moved_prelu)


def test_packages_list_what_they_have():
    assert {"testing", "convert", "export_model", "load_packed"} <= set(dir(tfq))
    for package in (tfq, tfq.convert, tfq.export, tfq.graph, tfq.layers, tfq.quantizers, tfq.runtime, tfq.testing):
        assert set(package.__all__) <= set(dir(package)), package.__name__
        assert all(hasattr(package, name) for name in package.__all__)


# --- what does not compute the same


def of_the_slope_of_one(call):
    center, _ = call.layer.get_weights()
    return [(nodes.ScaleShift, {"scale": np.ones_like(center), "shift": -center}), (nodes.ReLU, {})]


def without_its_center(node, name):
    import own_parts

    return own_parts.CentredPReLU(name=name), [0 * node.center, node.slope]


@pytest.mark.parametrize("way", ["there", "back", "none"])
def test_a_wrong_conversion_is_found(way, own, monkeypatch):
    if way == "there":
        monkeypatch.setitem(converters.CONVERTERS, own.CentredPReLU, of_the_slope_of_one)
        said = "CentredPReLU: its operations compute something else than the layer: off by"
    elif way == "back":
        monkeypatch.setitem(to_keras._LAYERS, own.MovedPReLU, without_its_center)
        said = "CentredPReLU: the layers made of its operations compute something else: off by"
    else:
        monkeypatch.delitem(converters.CONVERTERS, own.CentredPReLU)
        said = "CentredPReLU has no operations: "
    with pytest.raises(testing.ContractError, match=said):
        testing.check_conversion(own.CentredPReLU(), (3, 4, 2))
