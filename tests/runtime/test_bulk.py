"""Bulk inference: every image once, whatever is killed when; the rows are those of `tfq run`."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
from conftest import ROOT
from PIL import Image

pytest.importorskip("numba", reason="needs tfq[runtime]")

from tfq.runtime import bulk
from tfq.runtime.__main__ import main
from tfq.runtime.bulk import command

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

# Small and quick: images of floats 8 x 8 x 3.
MODEL = ROOT / "tests" / "data" / "packed_version1" / "xnor.tfq"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network with the statistics of its pixels, whose classes have names."""
    from tfq.graph import file

    graph = file.read(MODEL)
    channels = graph.input_shape[-1]
    path = tmp_path_factory.mktemp("model") / "model.tfq"
    file.write(replace(graph, pixel_mean=np.full(channels, 0.5, "f4"), pixel_std=np.full(channels, 0.25, "f4")), path)
    return path, graph.input_shape


@pytest.fixture(scope="module")
def pixels(model):
    return np.random.default_rng(0).integers(0, 256, (70, *model[1])).astype("uint8")


@pytest.fixture
def job(model, pixels, tmp_path):
    """70 images as two `.npy` files, in parts of 16."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    np.save(tmp_path / "in" / "a.npy", pixels[:30])
    np.save(tmp_path / "in" / "deep" / "b.npy", pixels[30:])
    return bulk.Job(model[0], tmp_path / "in", tmp_path / "out", images_a_part=16, top=2)


def rows_of(job):
    found = []
    for path in sorted(job.out.glob("part-*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            found += csv.DictReader(file)
    return found


def names_of(job):
    return [row["file"] for row in rows_of(job) if row["rank"] in ("1", "")]


EVERY_NAME = [f"a.npy[{index}]" for index in range(30)] + [f"{os.path.join('deep', 'b.npy')}[{index}]" for index in range(40)]


def test_every_image_has_the_rows_of_the_engine(job, model, pixels):
    from tfq import runtime

    assert [done for done, total in bulk.run(job)] == [0, 16, 30, 46, 62, 70]
    rows = rows_of(job)
    assert names_of(job) == EVERY_NAME
    engine = runtime.load(model[0])
    best = np.argsort(-engine.predict(pixels), axis=1, kind="stable")[:, :2]
    assert [int(row["index"]) for row in rows] == best.ravel().tolist()
    assert rows[0]["label"] == engine.graph.labels[best[0, 0]]


def test_parts_that_are_done_are_not_done_again(job):
    steps = bulk.run(job)
    for _ in range(3):
        next(steps)
    with pytest.raises(bulk.ResumeError, match="another process is writing to"):
        next(bulk.run(job))
    steps.close()
    kept = {path: path.stat().st_mtime_ns for path in job.out.glob("part-*")}
    assert len(kept) == 2
    (job.out / ".writing-1-part-000002.csv").write_text("half")  # as a killed process leaves it
    assert next(bulk.run(job)) == (30, 70)
    list(bulk.run(job))
    assert all(path.stat().st_mtime_ns == known for path, known in kept.items())
    assert names_of(job) == EVERY_NAME
    assert not list(job.out.glob(".writing-*"))


@pytest.mark.parametrize("change", [{"top": 1}, {"images_a_part": 8}, {"labels": tuple("0123456789")}])
def test_results_of_another_job_are_left_alone(change, job):
    list(bulk.run(job))
    with pytest.raises(bulk.ResumeError, match=rf"results of another job: {next(iter(change))} differ"):
        next(bulk.run(replace(job, **change)))
    np.save(job.images / "c.npy", np.load(job.images / "a.npy")[:1])
    with pytest.raises(bulk.ResumeError, match="images differ"):
        next(bulk.run(job))


def test_a_job_is_entered_only_by_the_process_that_holds_the_folder(job):
    """Else the manifest of one job would stand beside the tables of another that began at once."""
    filelock = pytest.importorskip("filelock")
    job.out.mkdir()
    with filelock.FileLock(job.out / ".lock"), pytest.raises(bulk.ResumeError, match="another process is writing to"):
        next(bulk.run(job))
    assert not (job.out / "_job.json").exists()


def test_an_image_that_comes_meanwhile_is_left_out(model, pixels, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no image")

    def run(*arguments, run=bulk.run):
        steps = run(*arguments)
        yield next(steps)
        (folder / "b.png").write_bytes(b"no image")
        return (yield from steps)

    monkeypatch.setattr(bulk, "run", run)
    assert main([str(model[0]), str(folder), f"--out={tmp_path / 'out'}"]) == 0
    assert "1 of them gave no result" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[1]", "3", '{"model":'])
def test_results_whose_description_is_damaged_are_left_alone(text, job):
    job.out.mkdir()
    (job.out / "_job.json").write_text(text)
    with pytest.raises(bulk.ResumeError, match=r"_job.json is damaged, so the job of its folder is unknown"):
        next(bulk.run(job))


def test_files_that_cannot_be_read_have_a_row_that_says_so(model, pixels, tmp_path, capsys):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name, image in (("b.png", pixels[0]), ("sub/c.png", pixels[1])):
        Image.fromarray(image).save(folder / name)
    (folder / "a.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("")
    job = bulk.Job(model[0], folder, tmp_path / "out")
    assert list(bulk.run(job)) == [(0, 3), (3, 3)]
    rows = rows_of(job)
    assert [row["file"] for row in rows] == ["a.png", "b.png", os.path.join("sub", "c.png")]
    assert [bool(row["error"]) for row in rows] == [True, False, False]
    assert main([str(model[0]), str(folder), f"--out={job.out}"]) == 0  # which finds all done
    said = "1 of them gave no result; the column `error` says why"
    assert said in capsys.readouterr().err
    pytest.importorskip("pyarrow", reason="needs tfq[bulk]")
    assert main([str(model[0]), str(folder), f"--out={tmp_path / 'parquet'}", "--format=parquet"]) == 0
    assert said in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="names of files need not be text")
def test_names_that_are_spelt_alike_have_a_row_each_and_links_to_nothing_too(model, pixels, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    names = [os.fsdecode(b"\xff.png"), "\\udcff.png"]
    for name in names:
        Image.fromarray(pixels[0]).save(folder / name)
    (folder / "link.png").symlink_to("nothing")
    job = bulk.Job(model[0], folder, tmp_path / "out")
    list(bulk.run(job))
    assert sorted((row["file"], row["error"]) for row in rows_of(job)) == [
        ("\\udcff.png", ""),
        ("\\udcff.png", ""),
        ("link.png", "cannot be read: No such file or directory"),
    ]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "there are no image files and no .npy files"),
        ({"b": np.zeros((2, 3, 3, 1), "u1")}, r"b.npy must hold uint8 images \(N, .*\); got uint8 \(2, 3, 3, 1\)"),
        ({"b": np.uint8(3)}, r"b.npy must hold uint8 images .*; got uint8 \(\)"),
        ({"b": None}, "b.npy cannot be read as .npy: No data left"),
    ],
)
def test_what_the_network_does_not_take_is_refused_before_any_work(arrays, message, model, pixels, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    if arrays:
        np.save(folder / "a.npy", pixels[:1])
    for name, array in arrays.items():
        if array is None:
            (folder / f"{name}.npy").touch()
        else:
            np.save(folder / f"{name}.npy", array)
    with pytest.raises(ValueError, match=message):
        next(bulk.run(bulk.Job(model[0], folder, tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_labels_of_another_number_are_refused(job):
    with pytest.raises(ValueError, match=r"gives results of shape \(10,\) an image; got 2 labels"):
        next(bulk.run(replace(job, labels=("cat", "dog"))))


def test_a_folder_that_cannot_be_listed_is_no_empty_one(job, monkeypatch):
    def scan(path, listed=os.scandir):
        if os.fspath(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(PermissionError, match="deep"):
        next(bulk.run(job))


def test_parquet_has_the_rows_of_csv(job, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    list(bulk.run(job))
    other = replace(job, out=tmp_path / "parquet", format="parquet")
    list(bulk.run(other))
    table = parquet.read_table(other.out, schema=parquet.read_schema(other.out / "part-000000.parquet")).to_pylist()
    known = [{name: "" if value is None else str(value) for name, value in row.items()} for row in table]
    assert sorted(known, key=str) == sorted(rows_of(job), key=str)


def test_the_command_says_what_goes_together(job, capsys):
    arguments = [str(job.model), str(job.images)]
    for wrong, message in (
        (["--processes=2"], "--processes and --format go with --out=DIR"),
        ([f"--out={job.out}", "--csv=x.csv"], "--out takes the place of --json and --csv"),
    ):
        with pytest.raises(SystemExit):
            main([*arguments, *wrong])
        assert message in capsys.readouterr().err
    assert main([*arguments, f"--out={job.out}"]) == 0
    assert len(names_of(job)) == 70
    assert list(bulk.run(bulk.Job(job.model, job.images, job.out))) == [(70, 70)]  # the same job, in Python
    assert main([*arguments, f"--out={job.out}", "--top=2"]) == 1
    assert "results of another job: top differ" in capsys.readouterr().err


def test_lines_tell_the_rate_and_the_time_that_is_left(capsys):
    now = iter([0.0, 5.0, 20.0, 25.0])
    lines = command._Lines(1000, 9000, lambda: next(now))
    for _ in range(3):
        lines(1000)
    assert capsys.readouterr().err == "3,000 of 9,000 images, 100 a second, 1 min 0 s left\n"


@pytest.mark.slow
def test_killed_processes_lose_and_double_no_row(job, pixels):
    """Two processes, killed with all their children at several moments; the last run ends by itself."""
    np.save(job.images / "many.npy", np.concatenate([pixels] * 400))
    arguments = [sys.executable, "-m", "tfq.runtime", str(job.model), str(job.images), f"--out={job.out}", "--processes=2"]
    for seconds in (3, 4, 5):
        process = subprocess.Popen(arguments, start_new_session=True, cwd=ROOT)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(arguments, check=True, cwd=ROOT)
    names = names_of(job)
    assert len(names) == len({*names}) == 70 * 401


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(job, pixels):
    """They hold its standard output, which ends when the last one does."""
    np.save(job.images / "many.npy", np.concatenate([pixels] * 4000))
    arguments = [str(job.model), str(job.images), f"--out={job.out}", "--processes=2"]
    with subprocess.Popen([sys.executable, "-m", "tfq.runtime", *arguments], stdout=subprocess.PIPE, cwd=ROOT) as process:
        while not list(job.out.glob("part-*")):
            time.sleep(0.05)
        process.kill()
        process.communicate(timeout=60)
    assert len(names_of(job)) < 70 * 4001


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_job_and_the_same_job_goes_on(job, pixels):
    np.save(job.images / "many.npy", np.concatenate([pixels] * 400))
    steps = bulk.run(job, processes=2)
    next(steps), next(steps)
    (spawned,) = (child for child in psutil.Process().children() if any("spawn_main" in part for part in child.cmdline()))
    spawned.kill()
    with pytest.raises(RuntimeError, match=r"a process was killed; [0-9,]+ of 28,070 images are done"):
        list(steps)
    list(bulk.run(job, processes=2))
    names = names_of(job)
    assert len(names) == len({*names}) == 70 * 401


@pytest.mark.slow
def test_ctrl_c_ends_the_command_with_a_line(job, pixels):
    np.save(job.images / "many.npy", np.concatenate([pixels] * 4000))
    command = [sys.executable, "-m", "tfq.runtime", str(job.model), str(job.images), f"--out={job.out}", "--processes=2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, text=True) as process:
        while not list(job.out.glob("part-*")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "python -m tfq.runtime: interrupted"
    assert "Traceback" not in errors


@pytest.mark.slow
def test_workers_of_dask_do_the_same(job):
    pytest.importorskip("distributed", reason="needs tfq[dask]")
    program = ("-m", "lab.dask_inference", str(job.model), str(job.images), str(job.out), "--workers=2")
    subprocess.run([sys.executable, *program], check=True, cwd=ROOT)
    assert names_of(job) == EVERY_NAME
