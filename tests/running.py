"""Runs train.py as a user does, on a slice of real CIFAR-10: as a command, or in this process, which is seconds faster."""

import contextlib
import csv
import gc
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from unittest import mock

import h5py
import pytest

from tfq.backend.keras import backend, is_legacy, keras

ROOT = Path(__file__).resolve().parent.parent
SLICE = ["--dataset=npz", "--data_dir=tests/data/cifar10_slice.npz"]
# The smallest network with every kind of layer, and few images: seconds, not minutes.
TINY = [*SLICE, "--depth=8", "--width=1", "--limit_train=128", "--batch_size=32"]
BACKEND = "tf_keras" if is_legacy else backend


def slow_on(*backends):
    """Marks what takes long, and differs little between backends: on these it is one of the slow tests."""
    return pytest.mark.slow if BACKEND in backends else lambda test: test


def slow_marks(*backends):
    """As `slow_on`, for the marks of a parameter."""
    return [pytest.mark.slow] if BACKEND in backends else []


def sampled(values, fast, *backends):
    """Parameters of a test; on these backends those that are not in `fast` belong to the slow tests."""
    return [pytest.param(value, marks=[] if value in fast else slow_marks(*backends)) for value in values]


def command(*flags):
    return [sys.executable, "train.py", *flags]


def environment():
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    for name in ("KERAS_BACKEND", "TF_USE_LEGACY_KERAS"):
        variables.pop(name, None)  # the flag decides
    return variables


def train_process(*flags):
    """The finished process of train.py with these flags, on the backend of this test run."""
    command_line = command(*_on_a_backend(flags))
    return subprocess.run(command_line, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


def train(*flags):
    """As `train_process`, but in this process, unless the flags ask for another backend than the one that is loaded."""
    flags = _on_a_backend(flags)
    if f"--backend={BACKEND}" not in flags:
        return train_process(*flags)
    output, errors, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors), contextlib.chdir(ROOT), _as_in_a_process():
        import train as program

        program.FLAGS.unparse_flags()
        try:
            program.main(program.parse(["train.py", *flags]))
        except SystemExit as end:
            status = end.code or 0
    return subprocess.CompletedProcess(flags, status, output.getvalue(), errors.getvalue())


def _on_a_backend(flags):
    return flags if any(flag.startswith("--backend") for flag in flags) else (*flags, f"--backend={BACKEND}")


@contextlib.contextmanager
def _as_in_a_process():
    """Layers are named from the start, and what a run sets, its lock included, ends with it."""
    keras.backend.clear_session()
    try:
        with mock.patch.dict(os.environ, environment()):
            yield
    finally:
        if backend == "tensorflow":
            from tensorflow.python.framework import config

            config.disable_op_determinism()  # which --deterministic switches on for the whole process
        gc.collect()


def trained(*flags, run=train):
    """Output of a run that must succeed."""
    result = run(*flags)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def train_and_signal(line, number, *flags):
    """Exit status and errors of a run that gets a signal as soon as it prints a line that starts so."""
    flags = (*flags, f"--backend={BACKEND}")
    process = subprocess.Popen(
        command(*flags), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for printed in process.stdout:
        if printed.startswith(line):
            process.send_signal(number)
            break
    errors = process.communicate()[1]
    assert process.returncode, f"it ended before it printed {line!r}, or in spite of the signal"
    return process.returncode, errors


def history(run_dir):
    with (Path(run_dir) / "history.csv").open() as file:
        return list(csv.DictReader(file))


def arrays(path):
    """All arrays in a checkpoint, weights and optimizer, by name."""
    if Path(path).suffix == ".keras":
        path = io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5"))
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None)
    return found
