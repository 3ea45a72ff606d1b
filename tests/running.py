"""Runs train.py as a user does: as a command, on a slice of real CIFAR-10."""

import csv
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py

from tfq.compat import backend, is_legacy

ROOT = Path(__file__).resolve().parent.parent
SLICE = ["--dataset=npz", "--data_dir=tests/data/cifar10_slice.npz"]
# The smallest network with every kind of layer, and few images: seconds, not minutes.
TINY = [*SLICE, "--depth=8", "--width=1", "--limit_train=128", "--batch_size=32"]
BACKEND = "tf_keras" if is_legacy else backend


def command(*flags):
    return [sys.executable, "train.py", *flags]


def environment():
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    for name in ("KERAS_BACKEND", "TF_USE_LEGACY_KERAS"):
        variables.pop(name, None)  # the flag decides
    return variables


def train(*flags, **options):
    """The finished process of train.py with these flags, on the backend of this test run."""
    if not any(flag.startswith("--backend") for flag in flags):
        flags = (*flags, f"--backend={BACKEND}")
    return subprocess.run(command(*flags), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, **options)


def trained(*flags):
    """Output of a run that must succeed."""
    result = train(*flags)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def train_and_kill(line, *flags):
    """Start a run and kill it, as `kill -9` does, as soon as it prints a line that starts so."""
    flags = (*flags, f"--backend={BACKEND}")
    process = subprocess.Popen(
        command(*flags), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    for printed in process.stdout:
        if printed.startswith(line):
            process.kill()
            break
    process.wait()
    assert process.returncode == -9, f"it ended before it printed {line!r}"


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
