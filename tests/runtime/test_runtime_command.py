"""The command that names what is on the images of a folder."""

import csv
import json
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from tfq import runtime
from tfq.graph import file
from tfq.graph import nodes as g
from tfq.runtime import __main__ as command
from tfq.runtime import pictures
from tfq.runtime import rows as rows_module

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

HEIGHT, WIDTH = 6, 8


def network(channels=3, classes=5, pixels=True, labels=(), seed=0):
    rng = np.random.default_rng(seed)
    kernel = g.FloatKernel(rng.normal(size=(HEIGHT * WIDTH * channels, classes)).astype(np.float32) / 10)
    statistics = {name: np.full(channels, 0.5, np.float32) for name in ("pixel_mean", "pixel_std")} if pixels else {}
    nodes = (g.Reshape("flat", ("input",), (HEIGHT * WIDTH * channels,)), g.Dense("head", ("flat",), kernel))
    return g.Graph((HEIGHT, WIDTH, channels), nodes, **statistics, labels=labels)


@pytest.fixture
def model(tmp_path):
    return write(tmp_path)


def write(tmp_path, **options):
    path = tmp_path / "model.tfq"
    file.write(network(**options), path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Seven images, by name; no file says anything else than its pixels."""
    directory = tmp_path / "images"
    directory.mkdir()
    rng = np.random.default_rng(1)
    for i in range(7):
        Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(directory / f"{i}.png")
    return directory


def run(*arguments):
    return command.main([str(argument) for argument in arguments])


def softmax(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum()


def test_a_line_a_file_with_the_classes_and_scores_of_the_engine(model, folder, capsys):
    assert run(model, folder, "--top=2", "--threads=2") == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert len(lines) == 7
    for i, line in enumerate(lines):
        pixels = np.asarray(Image.open(folder / f"{i}.png"))
        scores = softmax(runtime.load(model).predict(pixels[None])[0])
        first, second = np.argsort(-scores)[:2]
        assert line.split("\t") == [f"{i}.png", str(first), f"{scores[first]:.4f}", str(second), f"{scores[second]:.4f}"]
    assert output.err.startswith("ready after ")
    assert len(output.err.splitlines()) == 1


def test_one_file_is_named_itself(model, folder, capsys):
    run(model, folder)
    lines = capsys.readouterr().out.splitlines()
    (folder / "3.png").rename(folder / "3")  # whatever its ending
    assert run(model, folder / "3") == 0
    assert capsys.readouterr().out.splitlines() == [lines[3].replace("3.png", "3", 1)]
    assert run(model, model) == 1
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"model.tfq: cannot be read: cannot identify image file {str(model)!r}",
        "1 of 1 files gave no result",
    ]


def test_a_name_ends_neither_its_line_nor_its_column(tmp_path, folder, capsys):
    (folder / "0.png").rename(folder / "0\tof\ntwo.png")
    (folder / "1\n.png").write_bytes(b"no image")
    model, rows = write(tmp_path, labels=("a\tb", "c\rd", "e", "f", "g")), tmp_path / "rows.json"
    assert run(model, folder, "--top=5", f"--json={rows}") == 1
    output = capsys.readouterr()
    first = output.out.splitlines()[0].split("\t")
    assert len(output.out.splitlines()) == 7
    assert first[0] == "0\\tof\\ntwo.png"
    assert len(first) == 11
    assert {"a\\tb", "c\\rd"} < set(first)
    assert output.err.splitlines()[1].startswith("1\\n.png: ")
    assert json.loads(rows.read_text())[0]["file"] == "0\tof\ntwo.png"  # as it is


def test_more_images_than_are_read_at_a_time(model, folder, capsys, monkeypatch):
    run(model, folder)
    whole = capsys.readouterr().out
    monkeypatch.setattr(command, "_BATCH", 3)
    assert run(model, folder) == 0
    assert capsys.readouterr().out == whole


def test_rows_in_json_and_csv(model, folder, tmp_path, capsys):
    assert run(model, folder, "--top=3", f"--json={tmp_path / 'rows.json'}", f"--csv={tmp_path / 'rows.csv'}") == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["file"] for row in rows] == [f"{i}.png" for i in range(7) for _ in range(3)]
    assert [row["rank"] for row in rows] == [1, 2, 3] * 7
    assert all(a["score"] >= b["score"] for a, b in pairwise(rows) if a["file"] == b["file"])
    assert all(tuple(row) == rows_module.KEYS and row["label"] is None and row["error"] is None for row in rows)
    with (tmp_path / "rows.csv").open(newline="") as lines:
        table = list(csv.DictReader(lines))
    assert [(row["file"], int(row["index"]), float(row["score"])) for row in table] == [
        (row["file"], row["index"], row["score"]) for row in rows
    ]


def test_names_of_classes_from_the_model_and_from_a_file(tmp_path, folder, capsys):
    plain = write(tmp_path)
    assert run(plain, folder) == 0
    indices = [int(line.split("\t")[1]) for line in capsys.readouterr().out.splitlines()]
    named = write(tmp_path, labels=tuple("abcde"))
    assert run(named, folder) == 0
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == ["abcde"[index] for index in indices]
    names = tmp_path / "names.txt"
    names.write_text("ä b\nc\nd\ne\nf\n", encoding="utf-8")
    assert run(named, folder, f"--labels={names}") == 0
    wanted = [["ä b", "c", "d", "e", "f"][index] for index in indices]
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == wanted


def test_a_byte_order_mark_is_no_part_of_a_label(model, folder, tmp_path, capsys):
    run(model, folder, "--top=5")
    before = capsys.readouterr().out
    (tmp_path / "names.txt").write_text("0\n1\n2\n3\n4\n", encoding="utf-8-sig")
    assert run(model, folder, "--top=5", f"--labels={tmp_path / 'names.txt'}") == 0
    assert capsys.readouterr().out == before


def test_labels_that_are_no_text_are_named(model, folder, tmp_path, capsys):
    names = tmp_path / "names.bin"
    names.write_bytes(b"a\n\xff")
    assert run(model, folder, f"--labels={names}") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"python -m tfq.runtime: error: {names} is no text in UTF-8: invalid start byte at byte 2"


def test_names_of_files_that_are_no_text_are_spelt_out_everywhere(model, folder, tmp_path, capsys):
    (folder / "6.png").rename(folder / os.fsdecode(b"\xff.png"))
    (folder / "5.png").rename(folder / os.fsdecode(b"\xfe.png"))
    (folder / os.fsdecode(b"\xfe.png")).write_bytes(b"no image")
    assert run(model, folder, f"--json={tmp_path / 'rows.json'}", f"--csv={tmp_path / 'rows.csv'}") == 1
    output = capsys.readouterr()
    assert output.out.splitlines()[-1].startswith("\\udcff.png\t")
    assert output.err.splitlines()[1].startswith("\\udcfe.png: cannot be read: ")
    names = [*(f"{i}.png" for i in range(5)), "\\udcfe.png", "\\udcff.png"]
    assert [row["file"] for row in json.loads((tmp_path / "rows.json").read_text())] == names
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as lines:
        assert [row["file"] for row in csv.DictReader(lines)] == names


def test_what_cannot_be_read_is_said_and_the_rest_is_done(model, folder, tmp_path, capsys):
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:60])
    (folder / "3.jpg").write_bytes(b"no image at all")
    (folder / "3.png").unlink()
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(folder / "4.png")
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)).save(folder / "5.png")
    (folder / "notes.txt").write_text("not an image, and not meant as one")
    (folder / "more").mkdir()
    assert run(model, folder, f"--json={tmp_path / 'rows.json'}") == 1
    output = capsys.readouterr()
    assert [line.split("\t")[0] for line in output.out.splitlines()] == ["0.png", "1.png", "6.png"]
    errors = output.err.splitlines()[1:]
    assert errors[0].startswith("2.png: cannot be read: ")
    assert errors[1].startswith("3.jpg: cannot be read: cannot identify image file")
    assert errors[2] == "4.png: is 9 x 6 pixels, the network takes 8 x 6 (--resize scales it)"
    assert errors[3] == "5.png: its pixels are of kind I;16; expected 8 bits a channel"
    assert errors[4:] == ["4 of 7 files gave no result"]
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["file"] for row in rows if row["error"]] == ["2.png", "3.jpg", "4.png", "5.png"]


def test_resize_scales_what_has_another_size_and_nothing_else(model, folder, capsys):
    run(model, folder)
    before = capsys.readouterr().out.splitlines()
    Image.open(folder / "0.png").resize((WIDTH * 3, HEIGHT * 2), Image.Resampling.NEAREST).save(folder / "large.png")
    assert run(model, folder, "--resize") == 0
    after = capsys.readouterr().out.splitlines()
    assert after[:7] == before
    assert after[7].startswith("large.png\t")


def test_pixels_are_grey_or_rgb_as_the_network_takes_them(tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    color = Image.fromarray(pixels)
    color.save(tmp_path / "rgb.png")
    color.convert("L").save(tmp_path / "grey.png")
    color.convert("RGBA").save(tmp_path / "rgba.png")
    grey, rgb = pictures.Reader((HEIGHT, WIDTH, 1)), pictures.Reader((HEIGHT, WIDTH, 3))
    np.testing.assert_array_equal(rgb.read(tmp_path / "rgb.png"), pixels)
    np.testing.assert_array_equal(rgb.read(tmp_path / "rgba.png"), pixels)
    luma = np.asarray(color.convert("L"))
    np.testing.assert_array_equal(grey.read(tmp_path / "rgb.png"), luma[..., None])
    np.testing.assert_array_equal(grey.read(tmp_path / "grey.png"), luma[..., None])
    np.testing.assert_array_equal(rgb.read(tmp_path / "grey.png"), np.repeat(luma[..., None], 3, axis=2))


def test_a_picture_stored_on_its_side_is_turned(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(tmp_path / "side.png", exif=exif)
    np.testing.assert_array_equal(pictures.Reader((HEIGHT, WIDTH, 3)).read(tmp_path / "side.png"), pixels)


def test_a_picture_as_large_as_an_attack_is_refused(tmp_path, monkeypatch):
    Image.new("RGB", (40, 40)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(pictures.PictureError, match=r"cannot be read: Image size \(1600 pixels\) exceeds limit"):
        pictures.Reader((HEIGHT, WIDTH, 3), resize=True).read(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("options", "flags", "message"),
    [
        ({"pixels": False}, (), "holds no mean and deviation of its training images, without which pixels cannot be prepared"),
        ({"channels": 4}, (), "the network takes inputs of shape (6, 8, 4); image files give (height, width, 1 or 3)"),
        ({}, ("--top=6",), "--top must be from 1 to 5, the number of classes; got --top=6"),
        ({}, ("--top=0",), "--top must be from 1 to 5, the number of classes; got --top=0"),
        ({}, ("--labels=pyproject.toml",), "the network has 5 classes; pyproject.toml names "),
        ({}, ("--labels=nowhere.txt",), "No such file or directory: 'nowhere.txt'"),
        ({"labels": ("a", "b")}, (), "model.tfq names 2"),
    ],
)
def test_what_does_not_fit_is_one_line(options, flags, message, tmp_path, folder, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert run(write(tmp_path, **options), folder, *flags) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m tfq.runtime: error: ")
    assert message in line


@pytest.mark.parametrize("flag", ["--json", "--csv"])
def test_files_that_cannot_be_written_are_said_before_the_work(flag, model, folder, tmp_path, capsys, monkeypatch):
    """Before a model is even looked for; whether writing is permitted is asked of the system, since root may do all."""
    written = tmp_path / "there.json"
    written.touch()
    for path, message in (
        (tmp_path / "none" / "x.json", f"there is no directory '{tmp_path / 'none'}'"),
        (written / "x.json", f"there is no directory '{written}'"),
        (tmp_path, "it is a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run("none.tfq", folder, f"{flag}={path}")
        line = capsys.readouterr().err.splitlines()[-1]
        assert line == f"python -m tfq.runtime: error: argument {flag}: cannot write '{path}': {message}"
    for path in (written, tmp_path / "new.json"):
        asked = path if path.exists() else tmp_path
        monkeypatch.setattr("tfq.arguments.os.access", lambda given, mode, asked=asked: (given, mode) != (asked, os.W_OK))
        with pytest.raises(SystemExit, match="2"):
            run("none.tfq", folder, f"{flag}={path}")
        assert f"cannot write '{path}': it may not be written to" in capsys.readouterr().err
    monkeypatch.undo()
    assert run(model, folder, f"{flag}={written}") == 0


@pytest.mark.parametrize("threads", ["0", "-1", "two", "257", "100000000", "9" * 5000])
def test_numbers_of_threads_that_nobody_wants(threads, model, folder, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(model, folder, f"--threads={threads}")
    assert f"argument --threads: must be an integer from 1 to 256; got '{threads}'" in capsys.readouterr().err


def test_folders_and_models_that_are_none(model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ((model, tmp_path / "empty"), "there are no image files in "),
        ((model, tmp_path / "nowhere"), "No such file or directory"),
        ((model, model / "0.png"), "Not a directory"),
        ((tmp_path / "no.tfq", tmp_path / "empty"), "No such file or directory"),
        ((ROOT / "pyproject.toml", tmp_path / "empty"), "is not a .tfq file"),
    ):
        assert run(*arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


PROGRAM = """
import sys
from tfq.runtime import __main__ as command
status = command.main(sys.argv[1:])
loaded = {name.split(".")[0] for name in sys.modules}
print(status, sorted({"keras", "tensorflow", "jax", "torch", "tf_keras"} & loaded), "PIL" in loaded)
"""


def python(program, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_it_loads_no_framework(model, folder):
    result = python(PROGRAM, model, folder)
    assert result.stdout.splitlines()[-1] == "0 [] True", result.stderr


def test_a_missing_pil_is_an_error_that_names_the_extra(model, folder):
    result = python("import sys; sys.modules['PIL'] = None\n" + PROGRAM, model, folder)
    assert result.stdout.splitlines()[-1].startswith("1 ")
    assert result.stderr.splitlines() == [
        "python -m tfq.runtime: error: reading image files needs `PIL`, which is not installed: pip install 'tfq[runtime]'"
    ]


@pytest.mark.slow
def test_the_first_start_compiles_and_the_second_does_not(model, folder, tmp_path):
    command = "import runpy; runpy.run_module('tfq.runtime', run_name='__main__')"
    first, second = (python(command, model, folder, NUMBA_CACHE_DIR=str(tmp_path / "code")) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert "compiled; the code is kept on disk for later starts" in first.stderr
    assert "compiled code was on disk" in second.stderr
    assert first.stdout == second.stdout
