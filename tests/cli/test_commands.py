"""`tfq COMMAND`: the commands by name, and the one that measures a packed network."""

import json
import re
import sys

import numpy as np
import pytest

from tfq.cli import benchmark, main
from tfq.graph import file
from tfq.graph import nodes as g
from tfq.speed import subject


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network of one layer: what is tested is not how fast it is."""
    path = tmp_path_factory.mktemp("networks") / "model.tfq"
    kernel = g.FloatKernel(np.ones((12, 3), np.float32))
    file.write(g.Graph((2, 2, 3), (g.Reshape("flat", ("input",), (12,)), g.Dense("head", ("flat",), kernel))), path)
    return path


def test_the_commands_are_listed(capsys):
    assert main.main(["--help"]) == 0
    assert main.main(["tables"]) == 2
    output, errors = capsys.readouterr()
    assert output == errors
    assert [line.split()[0] for line in output.splitlines()[1:]] == list(main.COMMANDS)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_a_command_goes_by_its_name(name, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, main.COMMANDS[name][0], Echo)
    assert main.main([name, "--flag", "x"]) == 0
    assert capsys.readouterr().out == f"tfq {name}: ['--flag', 'x']\n"


class Echo:
    @staticmethod
    def main(arguments, prog):
        print(f"{prog}: {arguments}")


def test_what_the_runtime_alone_does_not_have_is_said(capsys, monkeypatch):
    monkeypatch.setitem(main.COMMANDS, "summary", ("tfq.not_in_this_wheel", ""))
    assert main.main(["summary", "x"]) == 1
    assert capsys.readouterr().err == "tfq summary: error: it needs the whole of tfq, beside its runtime: pip install tfq\n"


def test_run_needs_its_two_arguments_and_names_itself(capsys):
    with pytest.raises(SystemExit, match="2"):
        main.main(["run"])
    assert "tfq run: error: the following arguments are required: MODEL.tfq, IMAGES" in capsys.readouterr().err


def test_benchmark_measures_files_side_by_side(model, tmp_path, capsys):
    other = tmp_path / "other.tfq"
    other.write_bytes(model.read_bytes())
    flags = ["--against", str(other), "--repetitions=2", "--batch=4", f"--json={tmp_path / 'rows.json'}"]
    assert main.main(["benchmark", str(model), *flags]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["file"], row["engine"], row["threads"], row["batch"]) for row in rows] == [
        ("model.tfq", "tfq", 1, 1),
        ("model.tfq", "tfq", 1, 4),
        ("other.tfq", "tfq", 1, 1),
        ("other.tfq", "tfq", 1, 4),
    ]
    for row in rows:
        assert tuple(row) == benchmark.KEYS
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["images_per_s"] == pytest.approx(1e3 * row["batch"] / row["p50_ms"])
        assert row["bytes"] == model.stat().st_size
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "engine", "threads", "batch", "p50", "ms", "p95", "ms", "images/s", "bytes"]
    ratio = rows[2]["p50_ms"] / rows[0]["p50_ms"]
    assert lines[5] == f"model.tfq is {ratio:.2f} times as fast as other.tfq (1 thread, 1 image)"
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.tfq", None, "there is no file .*none.tfq"),
        ("model.onnx", b"", "model.onnx must end with .tfq, .tflite or .keras"),
        ("text.tfq", b"text", "text.tfq is not a .tfq file"),
    ],
)
def test_a_file_that_cannot_be_measured_is_one_line(name, content, message, model, tmp_path, capsys):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert benchmark.main([str(model), "--against", str(tmp_path / name), "--repetitions=1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(f"^tfq benchmark: error: .*{message}", line)


def test_the_first_file_is_a_packed_network(tmp_path, capsys):
    (tmp_path / "model.tflite").write_bytes(b"")
    assert benchmark.main([str(tmp_path / "model.tflite")]) == 1
    assert "model.tflite must end with .tfq\n" in capsys.readouterr().err


def test_networks_of_different_images_are_not_compared(model, tmp_path, capsys):
    nodes = (g.Reshape("flat", ("input",), (27,)), g.Dense("head", ("flat",), g.FloatKernel(np.ones((27, 3), np.float32))))
    file.write(g.Graph((3, 3, 3), nodes), tmp_path / "other.tfq")
    assert benchmark.main([str(model), "--against", str(tmp_path / "other.tfq")]) == 1
    assert f"they take: {model} (2, 2, 3); {tmp_path / 'other.tfq'} (3, 3, 3)" in capsys.readouterr().err


def test_a_file_named_twice_is_refused(model, capsys):
    assert benchmark.main([str(model), "--against", str(model)]) == 1
    assert "each file must be named once" in capsys.readouterr().err


def test_the_engine_of_a_tflite_file_is_that_of_its_operations(tmp_path):
    for content, engine in ((b"..LceBconv2d..", "lce"), (b"..CONV_2D..", "tflite")):
        path = tmp_path / f"{engine}.tflite"
        path.write_bytes(content)
        assert subject.engine_of(path) == engine


def test_an_engine_that_the_runtime_alone_does_not_have_is_said(monkeypatch):
    monkeypatch.setitem(subject.ENGINES, "tflite", "tfq.not_in_this_wheel:load")
    with pytest.raises(ImportError, match=r"^the engine tflite needs the whole of tfq, beside its runtime: pip install tfq$"):
        subject.Subject("tflite", 1)
