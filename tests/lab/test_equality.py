"""The check that the packed runtime equals Keras: it holds on trained networks, and what is wrong in a packed file is named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from exporting import cifar10_slice
from running import BACKEND

import models
from tfq.backend.keras import keras
from tfq.layers import (
    BatchNormalization,
    QuantActivation,
    QuantConv1D,
    QuantConv1DTranspose,
    QuantConv2D,
    QuantDense,
    QuantDepthwiseConv1D,
    QuantDepthwiseConv2D,
)
from tfq.quantizers import (
    DoReFaInputs,
    DoReFaWeights,
    EWGSInputs,
    LSQInputs,
    LSQWeights,
    PACTInputs,
    RSignInputs,
    TernaryWeights,
    XnorInputs,
    XnorWeights,
)

pytest.importorskip("numba", reason="the engine needs it")

from lab.equality import command, parts
from lab.equality import layers as by_layer
from lab.equality import network as by_network
from lab.equality.keras_values import Reference
from tfq.convert import boundary
from tfq.convert.from_keras import from_keras
from tfq.graph import file
from tfq.graph import nodes as g
from tfq.training import checkpoint
from tfq.training.history import History
from tfq.training.run_directory import RunDirectory

# Minutes of tracing, and the same code whatever the backend: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

SLICE = ROOT / "tests" / "data" / "cifar10_slice.npz"
XNOR = {"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights()}
LEVELS = {"input_quantizer": DoReFaInputs(2), "kernel_quantizer": DoReFaWeights(2)}


@pytest.fixture(scope="module")
def data():
    images, labels = cifar10_slice()
    return images[:120], labels[:120]


def fitted(model, data):
    """After a few steps, so that batch normalization has real statistics."""
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(0.003), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*data, batch_size=20, epochs=1, verbose=0)
    return model


def mixed():
    """What the residual networks do not have: a strided sum, K, levels, pools, a quantizer of its own, dense layers, groups."""
    x = keras.Input((32, 32, 3))
    y = BatchNormalization()(keras.layers.Conv2D(16, 3, strides=2, padding="same")(x))
    y = keras.layers.Add()([QuantConv2D(24, n, strides=2, padding="same", kmap=n > 1, **XNOR)(y) for n in (1, 3)])
    y = BatchNormalization()(keras.layers.ReLU()(y))
    y = QuantConv2D(20, 3, padding="same", pad_values=1, name="padded", **LEVELS)(y)
    y = QuantConv2D(32, 3, padding="same", groups=2, activation="relu", **LEVELS)(BatchNormalization()(y))
    y = keras.layers.MaxPooling2D()(BatchNormalization()(y))
    y = keras.layers.Conv2D(16, 1)(QuantActivation(XnorInputs(), name="signs")(y))
    y = QuantDense(40, use_bias=False, **XNOR)(keras.layers.Flatten()(BatchNormalization()(y)))
    y = QuantDense(24, **{**XNOR, "kernel_quantizer": TernaryWeights()})(BatchNormalization()(y))
    return keras.Model(x, keras.layers.Dense(10)(BatchNormalization()(y)))


def resnet20(method, **options):
    return models.build("resnet20", method, depth=8, width=1, **options)


@pytest.fixture(scope="module")
def xnor(data):
    return fitted(resnet20("xnor"), data)


def checked(model, graph, data):
    """The rows of all checks: layers, sites, and the runtime end to end."""
    images, labels = data
    reference = Reference(model, graph)
    deviation = by_layer.deviations(reference, graph, images)
    layers, sites = by_layer.check(reference, graph, images, deviation)
    (row,) = by_network.check(reference, graph, lambda part: images[part], labels, deviation)
    return layers, sites, row


def assert_equal(model, data):
    layers, sites, row = checked(model, from_keras(model), data)
    assert by_layer.violations(layers, sites) == []
    assert by_network.violations(row) == []
    assert row["images"] == len(data[0])
    assert row["images_with_flip"] <= 5
    assert 0 < row["largest_difference_without"] < 1e-5
    return layers, sites


def test_an_xnor_network_equals_keras(xnor, data):
    layers, sites = assert_equal(xnor, data)
    assert [row["layer"] for row in layers if row["accumulators"] is None] == ["conv", "head"]
    (first,) = (row for row in layers if row["layer"] == "stage1_block1_conv1")
    assert first["accumulators"] == len(data[0]) * 32 * 32 * 16
    assert all(row["same_path"] for row in sites)
    # Whatever two layers read is one site.
    assert [row["site"] for row in sites][:2] == ["stage1_block1_conv1", "stage1_block1_conv2"]
    assert [row["behind"] for row in sites][:3] == ["conv", "stage1_block1_conv1", "stage1_block1_conv2"]


def small(layer):
    """A quantized layer between two of Keras, on images of 8 x 8."""
    x = keras.Input((8, 8, 3))
    y = BatchNormalization()(keras.layers.Conv2D(6, 3, padding="same")(x))
    y = keras.layers.GlobalAveragePooling2D()(BatchNormalization()(layer(y)))
    return keras.Model(x, keras.layers.Dense(10)(y))


LSQ = {"input_quantizer": LSQInputs(2), "kernel_quantizer": LSQWeights(2)}


@pytest.mark.parametrize(
    "layer",
    [
        QuantConv2D(8, 3, padding="same", **LSQ),
        QuantDepthwiseConv2D(3, padding="same", depth_multiplier=2, **LSQ),
        *(
            pytest.param(
                QuantConv2D(8, 3, padding="same", input_quantizer=quantizer, kernel_quantizer=XnorWeights()),
                marks=pytest.mark.slow,
            )
            for quantizer in (RSignInputs(), EWGSInputs(2), PACTInputs(2))
        ),
    ],
    ids=["lsq", "depthwise_lsq", "rsign", "ewgs", "pact"],
)
def test_other_layers_equal_keras(layer, data):
    images, labels = data[0][:40, ::4, ::4], data[1][:40]
    layers, _ = assert_equal(fitted(small(layer), (images, labels)), (images, labels))
    (row,) = (row for row in layers if row["layer"] == layer.name)
    assert row["largest_difference"] < 1e-5


RSIGN, EWGS = {"input_quantizer": RSignInputs()}, {"input_quantizer": EWGSInputs(2)}


def sequences():
    """A row of an image through layers of sequences; two of their quantizers shift their inputs."""
    x = keras.Input((32, 3))
    y = BatchNormalization()(keras.layers.Conv1D(12, 3, padding="same")(x))
    y = BatchNormalization()(QuantConv1D(16, 3, padding="same", pad_values=1, name="same", **{**XNOR, **RSIGN})(y))
    y = BatchNormalization()(QuantConv1D(10, 3, padding="causal", dilation_rate=2, name="causal", **{**LEVELS, **EWGS})(y))
    y = QuantDepthwiseConv1D(3, strides=2, padding="same", depth_multiplier=2, name="depthwise", **XNOR)(y)
    y = BatchNormalization()(keras.layers.MaxPooling1D()(BatchNormalization()(y)))
    y = QuantConv1DTranspose(8, 3, strides=2, name="up", **XNOR)(y)
    return keras.Model(x, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling1D()(BatchNormalization()(y))))


def test_a_network_of_sequences_equals_keras(data):
    data = data[0][:40, 16], data[1][:40]
    layers, sites = assert_equal(fitted(sequences(), data), data)
    assert [row["layer"] for row in layers if row["accumulators"]] == ["same", "causal", "depthwise"]
    assert [row["site"] for row in sites] == ["same", "causal", "depthwise", "up"]


def test_a_dorefa_network_equals_keras(data):
    _, sites = assert_equal(fitted(resnet20("dorefa", w_bits=2, a_bits=2), data), data)
    assert all(row["same_path"] for row in sites)


def test_a_network_of_everything_equals_keras(data):
    layers, sites = assert_equal(fitted(mixed(), data), data)
    assert sum(row["accumulators"] is not None for row in layers) == 6
    assert "signs" in [row["site"] for row in sites]


def test_float_inputs_have_results_but_no_accumulators(data):
    x = keras.Input((32, 32, 3))
    y = QuantConv2D(8, 3, strides=4, kernel_quantizer=TernaryWeights())(x)
    model = keras.Model(x, QuantDense(10, kernel_quantizer=TernaryWeights())(keras.layers.GlobalAveragePooling2D()(y)))
    layers, sites, row = checked(model, from_keras(model), data)
    assert (sites, row["images_with_flip"]) == ([], 0)
    assert [row["accumulators"] for row in layers] == [None, None]
    assert by_layer.violations(layers, sites) == by_network.violations(row) == []


def test_classes_that_tie_are_no_disagreement():
    comparison = by_network.Comparison("x", traced=True)
    expected = np.array([[2.0, 2, 0], [3, 2.9, 0]], "float32")
    comparison.add(expected + np.array([[0, 1e-6, 0], [0, 0.2, 0]], "float32"), expected, [0, 0], [None] * 2, np.zeros(2))
    row = comparison.row()
    assert [found["image"] for found in row["disagreements"]] == [1]
    assert (row["top1_agreement"], row["top1"], row["top1_keras"]) == (0.5, 0, 1)


# --- what must be found


def changed(graph, name, path, **changes):
    """The graph as it is read from a packed file in which one operation is another."""
    nodes = [replace(node, **changes) if node.name == name else node for node in graph.nodes]
    file.write(replace(graph, nodes=tuple(nodes)), path)
    return file.read(path)


def node_of(graph, name):
    return next(node for node in graph.nodes if node.name == name)


def flips_start(row):
    """Where the flips of most images start; a few may start elsewhere, next to a boundary."""
    layer, images = max(row["by_layer"].items(), key=lambda item: item[1])
    assert sum(row["by_layer"].values()) - images <= 5
    return layer


def with_a_bit_flipped(graph, name, path):
    kernel = node_of(graph, name).kernel
    planes = kernel.planes.copy()
    planes[0, 11] ^= 1 << 3
    return changed(graph, name, path, kernel=replace(kernel, planes=planes))


def test_a_flipped_bit_of_a_kernel_is_found_and_named(xnor, data, tmp_path):
    graph = with_a_bit_flipped(from_keras(xnor), "stage2_block1_conv1", tmp_path / "model.tfq")
    layers, sites, row = checked(xnor, graph, data)
    assert [row["layer"] for row in layers if row["wrong_accumulators"]] == ["stage2_block1_conv1"]
    found = by_layer.violations(layers, sites)
    assert found[0].startswith("layer stage2_block1_conv1: ")
    assert "integer accumulators differ" in found[0]
    # Nothing else is named but what is behind it: each layer is fed Keras' tensors.
    assert all("stage2_block1_conv" in line for line in found)
    # End to end all images have flips, which would excuse them: where the flips start does not.
    assert flips_start(row) == "stage2_block1_conv2"
    assert any("deviations from the boundary" in line for line in by_network.violations(row))


def test_a_moved_threshold_is_found_and_named(xnor, data, tmp_path):
    graph = from_keras(xnor)
    shift = node_of(graph, "stage2_block1_bn2").shift.copy()
    shift[5] += 0.2
    layers, sites, row = checked(xnor, changed(graph, "stage2_block1_bn2", tmp_path / "model.tfq", shift=shift), data)
    assert not any(row["wrong_accumulators"] for row in layers)
    (line,) = by_layer.violations(layers, sites)
    assert line.startswith("inputs of stage2_block1_conv2: ")
    assert flips_start(row) == "stage2_block1_conv2"
    assert by_network.violations(row)


def test_differing_signs_are_counted_and_allowed_next_to_the_boundary_alone(xnor, data, tmp_path, monkeypatch):
    """A threshold moved so far that the nearest values, sums of few integers that are alike, come to lie on the other side."""
    graph = from_keras(xnor)
    reference, shift = Reference(xnor, graph), node_of(graph, "stage3_block1_bn1").shift.copy()
    deviation = by_layer.deviations(reference, graph, data[0])
    values, _ = reference.giving(["stage3_block1_bn1"])(data[0])
    values = values["stage3_block1_bn1"][..., 7].ravel()
    np.testing.assert_allclose(deviation["stage3_block1_conv1"][7], values.std(dtype=np.float64), rtol=1e-5)
    positive = np.sort(values[values > 0])
    count = int(np.argmax(np.diff(positive) > 1e-4)) + 1
    shift[7] -= (positive[count - 1] + positive[count]) / 2
    graph = changed(graph, "stage3_block1_bn1", tmp_path / "model.tfq", shift=shift)
    distance = positive[count - 1] / values.std(dtype=np.float64)
    for near, beyond in ((1.01 * distance, 0), (0.99 * distance, count)):
        monkeypatch.setattr(by_layer, "NEAR", near)
        layers, sites = by_layer.check(reference, graph, data[0], deviation)
        (row,) = (row for row in sites if row["site"] == "stage3_block1_conv1")
        assert (row["differing"], row["beyond"]) == (count, beyond)
        assert row["farthest"] == pytest.approx(distance)
        assert len(by_layer.violations(layers, sites)) == (beyond > 0)


def test_other_logits_without_a_flip_are_found(xnor, data, tmp_path):
    graph = from_keras(xnor)
    graph = changed(graph, "head", tmp_path / "model.tfq", bias=node_of(graph, "head").bias + np.float32(3e-2))
    layers, sites, row = checked(xnor, graph, data)
    assert by_layer.violations(layers, sites)[0].startswith("layer head: its results differ")
    assert row["images_with_flip"] <= 5
    (line,) = by_network.violations(row)
    assert "logits differ by more than 0.0001 without a flip" in line


def test_classes_without_a_flip_and_too_many_with_one_are_found():
    logits = np.eye(3, dtype=np.float32)[[0] * 200]
    other = logits.copy()
    other[:2] = other[:2, ::-1]
    labels = np.zeros(200, int)

    def violations(where):
        comparison = by_network.Comparison("x", traced=True)
        comparison.add(other, logits, labels, where + [None] * (200 - len(where)), np.zeros(200))
        row = comparison.row()
        assert (row["top1"], row["top1_keras"], len(row["disagreements"])) == (0.99, 1, 2)
        return by_network.violations(row)

    (line,) = violations(["a", "a"])
    assert line == "x: the same top-1 on 99.00% of 200 images, less than 99.5%"
    lines = violations(["a"])
    assert lines[-1] == "x: another top-1 without a flip on images 1"
    assert lines[0].startswith("x: on 1 of 200 images the logits differ by more than 0.0001 without a flip")


def test_a_nan_is_no_agreement():
    comparison = by_network.Comparison("x", traced=True)
    logits = np.ones((4, 3), np.float32)
    comparison.add(np.full_like(logits, np.nan), logits, np.zeros(4), [None] * 4, np.zeros(4))
    assert comparison.row()["beyond_tolerance_unexplained"] == 4


@pytest.mark.parametrize(
    ("quantizer", "values", "distances"),
    [
        (g.Sign(), [-0.5, 0.0, 2.0], [0.5, 0, 2]),
        (g.Levels(1), [-1, 0, 0.5, 0.75, 3], [1.5, 0.5, 0, 0.25, 2.5]),
        # Boundaries at 1/6, 1/2 and 5/6.
        (g.Levels(2), [0, 1 / 6, 1 / 3, 0.5, 0.6, 1, 2], [1 / 6, 0, 1 / 6, 0, 0.1, 1 / 6, 7 / 6]),
    ],
)
def test_distance_from_the_nearest_boundary(quantizer, values, distances):
    np.testing.assert_allclose(boundary.distance(np.array(values, np.float32), quantizer), distances, atol=1e-6)


# --- the command


@pytest.fixture(scope="module")
def run_directory(xnor, tmp_path_factory):
    directory = RunDirectory(tmp_path_factory.mktemp("run"))
    directory.write_flags({"model": "resnet20", "method": "xnor", "dataset": "npz", "data_dir": SLICE, "backend": BACKEND})
    checkpoint.save(xnor, directory.best, History([{"epoch": 0}]))
    return directory.path


def flags(run_directory):
    return [f"--run_dir={run_directory}", "--images=40", "--layer_images=30", "--tflite_images=0", "--lce_images=0"]


def test_command_judges_a_run(run_directory, tmp_path, capsys):
    path = tmp_path / "equality.json"
    assert command.main([*flags(run_directory), f"--json={path}"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert "tfq: 40 images, " in output.out
    found = json.loads(path.read_text())
    assert (found["model"], found["layer_images"], found["violations"]) == ("resnet20", 30, [])
    assert [row["engine"] for row in found["engines"]] == ["tfq"]
    assert {row["layer"] for row in found["layers"]} >= {"conv", "stage3_block1_shortcut", "head"}


def test_command_says_that_the_images_are_not_those_of_the_run(run_directory, capsys):
    known = {"dataset": "npz", "pixel_mean": [0.9] * 3, "pixel_std": [0.1] * 3}
    directory = RunDirectory(run_directory)
    directory.write_json(directory.data, known)
    try:
        assert command.main(flags(run_directory)) == 1
    finally:
        directory.data.unlink()
    (line,) = capsys.readouterr().err.splitlines()
    assert f"the data are not those of the run in {run_directory}: npz from {SLICE}" in line
    assert "instead of npz (pixel mean 0.900 0.900 0.900)" in line


def test_command_says_in_a_line_each_what_is_wrong_in_a_packed_file(run_directory, xnor, tmp_path, capsys):
    bad = tmp_path / "bad.tfq"
    with_a_bit_flipped(from_keras(xnor), "stage3_block1_shortcut", bad)
    assert command.main([*flags(run_directory), f"--tfq={bad}"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("python -m lab.equality: layer stage3_block1_shortcut: ")
    assert all(line.startswith("python -m lab.equality: ") for line in lines)


@pytest.mark.parametrize(
    ("other", "layer"),
    [
        ({"depth": 14}, "the file alone has layer 'stage1_block2_conv1' with "),
        ({"width": 2}, "the file alone has layer 'head' with a kernel of shape (128, 10), float, and float inputs"),
        (
            {"method": "ternary"},
            "the run alone has layer 'stage1_block1_conv1' with a kernel of shape (3, 3, 16, 16), binary, and inputs by Sign",
        ),
    ],
)
def test_command_names_the_packed_file_of_another_network(other, layer, run_directory, tmp_path, capsys):
    path = tmp_path / "other.tfq"
    file.write(from_keras(models.build("resnet20", **{"method": "xnor", "depth": 8, "width": 1, **other})), path)
    assert command.main([*flags(run_directory), f"--tfq={path}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--tfq={path} is of another network than --run_dir={run_directory}: " in line
    assert layer in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run_dir=none"], "there is no run in none"),
        (["--tfq=none.tfq"], "none.tfq"),
        (["--data_dir=none.npz"], "none.npz must be an .npz file"),
    ],
)
def test_command_says_in_one_line_what_is_missing(arguments, message, run_directory, capsys):
    assert command.main([*flags(run_directory), *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m lab.equality: ")
    assert message in line


@pytest.mark.tensorflow_only
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_command_judges_tflite_by_keras_values_near_boundaries(run_directory, xnor, data):
    options = [*flags(run_directory), "--images=60", "--layer_images=60", "--tflite_images=50"]
    report = command.compare(command._parser().parse_args(options))
    assert report["violations"] == []
    row = report["engines"][1]
    assert (row["engine"], row["images"]) == ("tflite_float32", 50)
    assert "images_with_flip" not in row
    assert 0 < row["median_difference"] < 1e-5
    assert row["images_beyond_tolerance"] <= min(5, row["images_near_boundary"])


def test_a_layer_called_twice_is_refused():
    layer, x = keras.layers.Dense(4), keras.Input((4,))
    model = keras.Model(x, layer(layer(x)))
    with pytest.raises(ValueError, match="whose layers are called once"):
        Reference(model, from_keras(model))


def test_the_trace_is_of_the_network_itself(xnor, data):
    """A sum of all integers would hide an exchange: the integers of the sites stand where they belong."""
    graph = from_keras(xnor)
    reference, sites = Reference(xnor, graph), parts.sites(graph)
    values, _ = reference.giving(site.source for site in sites)(data[0][:3])
    _, found = by_network.Traced(graph)(data[0][:3])
    for site, integers in zip(sites, found, strict=True):
        x = values[site.source]
        np.testing.assert_array_equal(integers.reshape(x.shape), np.where(x >= 0, 1, -1))
