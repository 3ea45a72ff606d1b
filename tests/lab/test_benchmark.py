"""The benchmarks: what they measure is right, their rows have the form that is promised, their mains run."""

import importlib.util
import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import runtime_oracle as oracle
from conftest import ROOT

import models
from lab.benchmark import __main__ as command
from lab.benchmark import (
    artifacts,
    concurrency,
    conv,
    conv_plot,
    depthwise,
    infer,
    infer_worker,
    memory,
    openvino_model,
    popcount,
    start,
    train_worker,
)
from lab.benchmark import layers as layers_benchmark
from lab.benchmark import train as train_benchmark
from lab.equality import command as equality
from tfq.backend.keras import keras
from tfq.export.run import RunError
from tfq.graph import file
from tfq.graph import nodes as g
from tfq.layers import QuantConv2D
from tfq.speed.worker import Worker
from tfq.training.run_directory import RunDirectory

# They measure Keras 3 on TensorFlow, and the exports of that.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def test_the_popcount_limit_counts_the_products_that_it_says():
    words, sums = popcount.arrays()
    popcount.count(words, 3, sums)
    positions, vectors = popcount.largest_tile()
    rows = words.view(np.uint32).reshape(-1, 16)
    inputs, weights = rows[:positions], rows[positions:].reshape(-1, vectors, 16)
    differ = inputs[:, None, None] ^ weights[None]
    wanted = 3 * np.unpackbits(differ[..., None].view(np.uint8), axis=-1).sum(axis=-1, dtype=np.int64).sum(axis=1)
    np.testing.assert_array_equal(sums.reshape(wanted.shape), wanted)
    # Each of them compared 32 bits of an input with as many of a weight.
    assert popcount.products(3) == 3 * differ.size * 32


def test_the_popcount_limit_is_measured_in_a_process_of_its_own():
    worker = Worker("lab.benchmark.popcount:Limit")
    assert len(worker.call("rates", 3)) == 3
    assert all(rate > 1 for rate in worker.call("rates", 2))
    worker.close()


def test_a_depthwise_convolution_is_measured_both_ways(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(depthwise, "LAYERS", (depthwise.Layer(6, 5, 2, 2),))
    made = []
    monkeypatch.setattr(depthwise, "both_ways", lambda graph, both=depthwise.both_ways: made.append(both(graph)) or made[-1])
    assert depthwise.main(["--turns=3", f"--json={tmp_path / 'rows.json'}"]) == 0
    assert [[engine.layers()[0][1] for engine in both] for both in made] == [["float32, depthwise", "float32"]] * 3
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["inputs"] for row in rows] == ["signs", "2 bits", "float32"]
    for row in rows:
        assert tuple(row) == depthwise.KEYS
        assert tuple(row.values())[:4] == (6, 5, 2, 2)
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
    assert "5 x 2, 6x6, stride 2" in capsys.readouterr().out


def test_the_forms_of_the_layers_of_resnet20():
    found = layers_benchmark.forms(1)
    assert sum(form["count"] for form in found) == 20  # no shortcut in the first stage at this width
    labels = {layers_benchmark.label(form): form["count"] for form in found}
    assert labels["3x3, 16 to 16, 32x32"] == 6
    assert labels["1x1, 16 to 32, 32x32, stride 2"] == 1
    assert labels["3x3, 64 depthwise, 32x32"] == 0


def test_the_sum_over_a_network_counts_each_layer():
    rows = [
        {"count": 3, "ms": 2.0, "float_ms": 1.0},
        {"count": 1, "ms": 1.0, "float_ms": 5.0},
        {"count": 0, "ms": 9.0, "float_ms": 1},
    ]
    assert layers_benchmark.total(rows) == 7 / 8


@pytest.mark.parametrize("filters", [3, None])
def test_a_layer_is_measured_beside_that_of_keras(filters):
    from lab.benchmark.layer_steps import of_tfq, worker  # they need TensorFlow, which other backends come without

    form = {"height": 4, "channels": 2, "filters": filters, "kernel_size": 3, "strides": 2}
    (stock,) = worker.stock(keras, form)
    for method in of_tfq.METHODS.values():
        (layer,) = method(form)
        assert layer.stock_class() is type(stock)
        assert layer.get_config().items() >= {name: stock.get_config()[name] for name in worker.options(form)}.items()
    taken = worker.measured(of_tfq, form, 1, 2)
    assert set(taken) == {"float", "ternary", "xnor", "dorefa_a2w2"}
    assert all(ms > 0 for ms in taken.values())


@pytest.fixture
def packed(tmp_path):
    """A `.tfq` file of one binary convolution, 32 to 64 at 12x12, and images."""
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, 32, 64), "binary"), "binary")
    nodes = (g.Conv2D("conv", ("input",), kernel, quantizer=g.Sign()), g.GlobalAveragePool("pool", ("conv",)))
    file.write(g.Graph((12, 12, 32), nodes), tmp_path / "model.tfq")
    images = rng.normal(size=(9, 12, 12, 32)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    results = oracle.run(g.Graph((12, 12, 32), nodes), images)
    labels = results.argmax(axis=1)
    labels[:3] = (labels[:3] + 1) % 64
    np.save(tmp_path / "labels.npy", labels)
    return tmp_path


def test_what_a_worker_measures_of_a_file(packed):
    subject = infer_worker.Measured("tfq", 1)
    subject.load(packed / "model.tfq", packed / "images.npy")
    assert subject.top1(packed / "labels.npy") == pytest.approx(6 / 9)
    assert len(subject.time(5, 4)) == 4
    assert all(taken > 0 for taken in subject.time(1, 3))
    assert 30 < subject.memory() < 20000
    # The convolution alone: less than a whole call, which packs its inputs too.
    assert 0 < np.median(subject.convolution(20)) < np.median(subject.time(1, 20))
    assert [name for name, path, _ in subject.profile() if "popcount" in path] == ["conv"]


def test_rows_of_a_convolution():
    shape = conv.Shape(32, 64, 128, 3)
    row = conv._row("lce", shape, 2.0, 1000.0)
    assert tuple(row)[:10] == conv.KEYS
    assert row["gmac_s"] == pytest.approx(32 * 32 * 9 * 64 * 128 / 1e9 / 0.002)
    assert row["share_of_popcount_limit"] == pytest.approx(row["gmac_s"] / 1000)
    assert str(shape) == "3x3, 64 to 128, 32x32"
    assert conv._shape("32x64x128x3") == shape


@pytest.mark.parametrize("text", ["32x64x128", "32x64x128x3x3", "32x64x0x3", "32x64xax3", ""])
def test_shapes_that_are_none(text, capsys):
    with pytest.raises(SystemExit, match="2"):
        conv.main(["--shapes", text])
    assert f"must be four numbers above 0, such as 32x64x64x3; got {text!r}" in capsys.readouterr().err


def test_the_picture_has_a_group_of_bars_for_each_convolution(tmp_path):
    engines = (*conv.ENGINES, conv.PACKED)
    rows = [conv._row(engine, shape, 1.0 + i, 1000.0) for shape in conv.SHAPES for i, engine in enumerate(engines)]
    conv_plot.draw(rows, tmp_path / "conv.png")
    assert (tmp_path / "conv.png").read_bytes().startswith(b"\x89PNG")


def build(method, depth=8, width=1, num_classes=10):
    return models.build("resnet20", method, depth=depth, width=width, num_classes=num_classes)


def run_of(directory, **flags):
    directory.mkdir()
    RunDirectory(directory).write_flags(flags)
    return directory


def test_a_float_run_of_the_same_architecture_is_taken(tmp_path):
    directory = run_of(tmp_path / "run", method="float", dataset="digits")
    for method in ("xnor", "ternary"):
        artifacts._check_float_run(directory, {"dataset": "digits"}, build(method), build("float"))


@pytest.mark.parametrize("name", ["run", "float_run"])
def test_a_run_on_other_data_is_not_measured_on_these(name, tmp_path):
    directory = RunDirectory(run_of(tmp_path / "run", method="float", model="resnet20", dataset="digits"))
    directory.write_json(directory.data, {"dataset": "digits", "pixel_mean": [0.9] * 3, "pixel_std": [0.1] * 3})
    given = dict.fromkeys(("run", "float_run", "w_bits", "a_bits", "depth", "width"))
    options = SimpleNamespace(**(given | {"model": "resnet20", "method": "xnor", "also": [], name: directory.path}))
    with pytest.raises(RunError, match=rf"are not those of the run in {directory.path}: digits from scikit-learn"):
        artifacts.make(options, tmp_path, None)


def test_packed_networks_of_one_name_are_refused(tmp_path):
    paths = [tmp_path / "a" / "x.tfq", tmp_path / "y.tfq", tmp_path / "b" / "x.tfq"]
    options = SimpleNamespace(**dict.fromkeys(("run", "model", "method"), None), also=paths)
    with pytest.raises(
        RunError, match=re.escape(f"--also takes each name once, as a row is named by it; got {paths[0]} and {paths[2]}")
    ):
        artifacts.make(options, tmp_path, None)


@pytest.mark.parametrize(
    ("flags", "options", "message"),
    [
        ({"method": "xnor", "dataset": "digits"}, {}, "must have --method=float; it has --method=xnor"),
        ({"method": "float", "dataset": "mnist"}, {}, "must have --dataset=digits; it has --dataset=mnist"),
        ({}, {}, "must have --method=float; it has --method=None"),
        (
            {"method": "float", "dataset": "digits"},
            {"width": 2},
            "is of another architecture than the quantized network: layer 'head' with kernel (128, 10) and results (10,) "
            "where that has layer 'head' with kernel (64, 10) and results (10,)",
        ),
        ({"method": "float", "dataset": "digits"}, {"depth": 14}, "is of another architecture than the quantized network"),
        (
            {"method": "float", "dataset": "digits"},
            {"num_classes": 7},
            "layer 'head' with kernel (64, 7) and results (7,) where that has layer 'head' with kernel (64, 10) and results",
        ),
    ],
)
def test_a_float_run_of_something_else_is_refused(tmp_path, flags, options, message):
    directory = run_of(tmp_path / "run", **flags)
    with pytest.raises(RunError, match=re.escape(message)):
        artifacts._check_float_run(directory, {"dataset": "digits"}, build("xnor"), build("float", **options))


def test_a_network_that_ends_sooner_is_of_another_architecture(tmp_path):
    directory = run_of(tmp_path / "run", method="float", dataset="digits")
    model = build("float")
    headless = keras.Model(model.inputs, model.get_layer("head_pool").output)
    with pytest.raises(RunError, match=r"layer 'stage1_block1_conv1' .* where that has layer 'head' with kernel \(64, 10\)"):
        artifacts._check_float_run(directory, {"dataset": "digits"}, build("xnor"), headless)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--threads", "0"], "must be an integer from 1 to 256; got '0'"),
        (["--threads", "100000000"], "must be an integer from 1 to 256; got '100000000'"),
        (["--repetitions=none"], "must be an integer of 1 or more; got 'none'"),
        (["--images=-5"], "must be an integer of 1 or more; got '-5'"),
    ],
)
def test_flags_of_infer_that_do_not_fit(flags, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        infer.main(flags)
    assert message in capsys.readouterr().err


COMMANDS = {
    "conv": (conv, []),
    "infer": (infer, []),
    "train": (train_benchmark, []),
    "concurrency": (concurrency, ["model.tfq"]),
    "depthwise": (depthwise, []),
    "layers": (layers_benchmark, []),
    "equality": (equality, ["--run_dir=run"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_cannot_be_written_is_said_before_the_work(name, tmp_path, capsys):
    """None of them would find a network to work on, which is said with status 1."""
    module, arguments = COMMANDS[name]
    for path, message in ((tmp_path, "it is a directory"), (tmp_path / "none" / "x.json", "there is no directory ")):
        with pytest.raises(SystemExit, match="2"):
            module.main([*arguments, f"--json={path}"])
        error = f"{name}: error: argument --json: cannot write '{path}': {message}"
        assert error in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("module", [conv, infer])
@pytest.mark.parametrize(
    ("name", "message"), [("x.foo", "must end with .png, .pdf, .svg or .jpg"), ("none/x.png", "cannot write")]
)
def test_a_picture_that_cannot_be_drawn_is_said_before_the_work(module, name, message, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        module.main([f"--plot={tmp_path / name}"])
    assert f"error: argument --plot: {message}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("module", [conv, infer, train_benchmark])
def test_tensorflow_is_missed_before_the_work(module, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(SystemExit, match="1"):
        module.main([])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(": error: this needs `tensorflow`, which is not installed: pip install 'tfq[tensorflow]'")


@pytest.mark.parametrize("module", [conv, infer])
def test_another_backend_is_refused_before_the_work(module, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("tfq.export.checks.backend", "jax")
    with pytest.raises(SystemExit, match="1"):
        module.main([])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(": error: export to tflite needs the tensorflow backend, this run uses jax")


def test_a_picture_needs_matplotlib(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match="2"):
        conv.main([f"--plot={tmp_path / 'x.png'}"])
    assert "a picture needs `matplotlib`, which is not installed: pip install 'tfq[train]'" in capsys.readouterr().err


def test_a_run_that_is_none_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match="1"):
        infer.main([f"--run={tmp_path}"])
    assert capsys.readouterr().err == (
        f"python -m lab.benchmark infer: error: there is no run in {tmp_path}: it has no flags.cfg\n"
    )


def test_a_benchmark_that_is_none_is_said_with_those_that_are(capsys, monkeypatch):
    monkeypatch.setattr(command.sys, "argv", ["python -m lab.benchmark", "speed"])
    assert command.main() == 2
    lines = capsys.readouterr().err.splitlines()
    assert {line.split()[0] for line in lines[1:]} >= {"train", "infer", "conv", "concurrency"}


# OpenVINO is in no lock.
OPENVINO = {"openvino_float32": "openvino", "openvino_int8": "nncf"}
ENGINES = {
    *("tfq", "lce", "tflite_float32", "tflite_int8", "keras"),
    *(engine for engine, package in OPENVINO.items() if importlib.util.find_spec(package)),
}
# The form of the rows: name and type of each value.
INFER_ROW = {
    **{"engine": str, "model": str, "method": str, "threads": int, "batch": int},
    **{"p50_ms": float, "p95_ms": float, "images_per_s": float, "bytes": int, "top1": float},
}


@pytest.mark.skipif(importlib.util.find_spec("openvino") is not None, reason="OpenVINO is installed")
def test_openvino_is_left_out_with_a_line_where_it_is_not_installed(tmp_path, capsys):
    assert openvino_model.export(None, tmp_path / "model.tflite", None, tmp_path) == {}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == list(OPENVINO)
    assert all("pip install" in line and package in line for line, package in zip(lines, OPENVINO.values(), strict=True))


def test_a_file_of_openvino_is_as_large_as_its_two_parts(tmp_path):
    for name, length in (("model.xml", 3), ("model.bin", 5), ("other.tflite", 7)):
        (tmp_path / name).write_bytes(bytes(length))
    assert openvino_model.size(tmp_path / "model.xml") == 8
    assert openvino_model.size(tmp_path / "other.tflite") == 7


@pytest.mark.slow
def test_infer_measures_each_engine(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    tiny = ["--depth=8", "--width=1", "--repetitions=1", "--images=64", "--threads", "1", "2"]
    assert infer.main([*tiny, f"--json={tmp_path / 'rows.json'}", f"--plot={tmp_path / 'rows.png'}"]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {(row["engine"], row["threads"], row["batch"]) for row in rows} == {
        (engine, threads, batch) for engine in ENGINES for threads in (1, 2) for batch in (1, 128)
    }
    assert len(rows) == 4 * len(ENGINES)
    for row in rows:
        assert tuple(row)[:10] == tuple(INFER_ROW)
        assert {name: type(row[name]) for name in INFER_ROW} == INFER_ROW
        assert (row["model"], row["method"]) == ("resnet20", "xnor")
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["images_per_s"] == pytest.approx(1e3 * row["batch"] / row["p50_ms"])
        assert row["top1"] == round(64 * row["top1"]) / 64  # of the images that were asked for
        assert row["start_s"] > 0
    sizes = {row["engine"]: row["bytes"] for row in rows}
    assert sizes["tfq"] < sizes["lce"] < sizes["tflite_int8"] < sizes["tflite_float32"]
    assert all(len({row["top1"] for row in rows if row["engine"] == engine}) == 1 for engine in ENGINES)
    assert {row["top1"] for row in rows if row["engine"] == "tfq"} == {row["top1"] for row in rows if row["engine"] == "lce"}
    output = capsys.readouterr().out
    first, second = map(float, re.search(r"start of tfq, .*: ([0-9.]+) s the first time, .*; then ([0-9.]+) s", output).groups())
    assert first > 2 * second
    assert re.search(r"^stage3_block1_conv2 +[0-9.]+  .*popcount", output, re.MULTILINE)
    assert (tmp_path / "rows.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_conv_measures_each_engine(tmp_path, capsys):
    files = [f"--json={tmp_path / 'rows.json'}", f"--plot={tmp_path / 'rows.png'}"]
    assert conv.main(["--shapes", "8x16x24x3", "4x256x256x3", "--repetitions=1", *files]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [tuple(row[name] for name in conv.Shape._fields) for row in rows[::6]] == [(8, 16, 24, 3), (4, 256, 256, 3)]
    assert {row["engine"] for row in rows} == {*ENGINES, conv.PACKED}
    assert len(rows) == 12
    for row in rows:
        assert tuple(row)[:10] == conv.KEYS
        assert row["threads"] == row["batch"] == 1
        assert 0 < row["share_of_popcount_limit"] < 1
    assert "of xor, popcount and add in registers, one core" in capsys.readouterr().out


def test_train_measures_the_network_of_the_name():
    xnor, float_ = (train_worker._network(name, models) for name in ("tfq_xnor_bfloat16", "tfq_float_bfloat16"))
    assert any(isinstance(layer, QuantConv2D) for layer in xnor.layers)
    assert not any(isinstance(layer, QuantConv2D) for layer in float_.layers)


@pytest.mark.slow
def test_train_measures_the_networks_that_are_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    networks = ["keras3_float_stock", "tfq_xnor", "tfq_xnor_bfloat16", "larq_xnor"]
    tiny = ["--only", *networks, "--repetitions=1", "--steps=2", "--batch_size=4"]
    kept = {"name": "tfkeras_float", "samples_per_s": 1.0, "ratio": 1.0}
    (tmp_path / "rows.json").write_text(json.dumps([{**kept, "name": "tfq_xnor"}, kept]))
    assert train_benchmark.main([*tiny, f"--json={tmp_path / 'rows.json'}"]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert rows.pop(3) == kept
    assert [row["name"] for row in rows] == networks
    assert rows[0]["ratio"] == 1
    for row in rows:
        assert row["ratio"] == pytest.approx(row["samples_per_s"] / rows[0]["samples_per_s"])
    assert "tfq_xnor / larq_xnor: " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("library", ["tfq", "larq"])
def test_layers_of_each_library(library, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    kept = {"library": "another", "ms": 1}
    (tmp_path / "rows.json").write_text(json.dumps([kept, {"library": library, "ms": 2}]))
    tiny = [f"--library={library}", "--turns=1", "--batch_size=2", "--width=1", f"--json={tmp_path / 'rows.json'}"]
    assert layers_benchmark.main(tiny) == 0
    first, *rows = json.loads((tmp_path / "rows.json").read_text())
    assert first == kept
    assert {row["library"] for row in rows} == {library}
    assert {row["method"] for row in rows} == {"ternary", "xnor", "dorefa_a2w2"}
    for row in rows:
        assert tuple(row) == layers_benchmark.KEYS
        assert row["ratio"] == pytest.approx(row["ms"] / row["float_ms"])
    assert "xnor, sum over resnet20: " in capsys.readouterr().out


def test_a_library_that_is_not_there_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(layers_benchmark, "forms", lambda width: [layers_benchmark.DEPTHWISE])
    with pytest.raises(SystemExit, match="1"):
        layers_benchmark.main(["--python=false"])
    assert "layers: error: the process of tfq ended with status 1" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.tensorflow_only
@pytest.mark.keras3_only
def test_bits_take_less_memory_than_floats(tmp_path, capsys):
    rows = tmp_path / "rows.json"
    assert memory.main(["--batch_size=64", "--turns=1", f"--json={rows}"]) == 0
    floats, bits = json.loads(rows.read_text())
    assert set(floats) == set(bits) == set(memory.KEYS)
    assert bits["peak_mb"] < 0.9 * floats["peak_mb"]
    assert "of peak" in capsys.readouterr().out


@pytest.mark.tensorflow_only
@pytest.mark.keras3_only
def test_starts_are_medians_and_their_ratio_is_of_pairs():
    row = start._row("later", [(2.0, 1.0), (4.0, 1.0), (2.0, 1.5)])
    assert row == {"start": "later", "pairs": 3, "old_s": 2.0, "new_s": 1.0, "ratio": 0.5}


@pytest.mark.tensorflow_only
@pytest.mark.keras3_only
def test_a_build_to_start_that_is_none_is_said(capsys):
    with pytest.raises(SystemExit, match="1"):
        start.main(["no-such-revision"])
    assert "neither a checkout of tfq nor a revision of this one" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.tensorflow_only
@pytest.mark.keras3_only
def test_starts_of_this_build_beside_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert start.main([".", "--first=1", "--later=1", f"--json={tmp_path / 'start.json'}"]) == 0
    first, later = json.loads((tmp_path / "start.json").read_text())
    for name, row in (("first", first), ("later", later)):
        assert tuple(row) == start.KEYS
        assert (row["start"], row["pairs"]) == (name, 1)
        assert row["ratio"] == pytest.approx(row["new_s"] / row["old_s"])
