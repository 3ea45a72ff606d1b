"""The directory of a run is one process' at a time."""

import gc
import runpy
import subprocess
import sys

import pytest
from conftest import ROOT

from tfq.training import run_directory
from tfq.training.run_directory import RunDirectory, RunDirectoryError

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

OPENED = "from tfq.training.run_directory import RunDirectory; run = RunDirectory({path!r}); run.open()"


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    path = str(tmp_path / "run")
    held = RunDirectory(path)
    held.open()
    second = subprocess.run(
        [sys.executable, "-c", OPENED.format(path=path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert second.stderr.splitlines()[-1].endswith(f"RunDirectoryError: another process is training in --run_dir={path}")
    with pytest.raises(RunDirectoryError, match="another process is training"):
        RunDirectory(path).open()
    del held
    gc.collect()
    RunDirectory(path).open()


def test_a_killed_process_leaves_no_lock(tmp_path):
    program = OPENED.format(path=str(tmp_path)) + "; import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == -9
    assert (tmp_path / ".lock").exists()
    RunDirectory(tmp_path).open()


def test_a_worker_gets_what_it_goes_on_from(tmp_path):
    run = RunDirectory(tmp_path)
    for file in (run.data, run.last, run.best, run.history):
        file.write_text(file.name)
    (tmp_path / "own").mkdir()
    own = run.copy(tmp_path / "own")
    assert sorted(file.name for file in own.path.iterdir()) == ["best.keras", "data.json", "last.keras"]
    assert own.data.read_text() == "data.json"


def test_what_cannot_be_a_directory_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match=r"^cannot write to --run_dir=.*file: File exists$"):
        RunDirectory(tmp_path / "file").open()


def test_a_run_is_read_where_a_system_has_no_locks_of_unix(monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    module = runpy.run_path(run_directory.__file__)
    assert module["RunDirectory"]("nowhere").read_flags() is None
