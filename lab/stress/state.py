"""What a run has left: whether its checkpoints can be read, and whether it is that of another run."""

import csv
import io
import zipfile
from pathlib import Path

import h5py
import numpy as np

from lab.stress import tiny
from tfq.training import checkpoint
from tfq.training.run_directory import RunDirectory

# What differs from run to run.
_TIMES = ("seconds", "images_per_second", "load_share")


def unreadable(folder: Path) -> list[str]:
    """What is wrong with the checkpoints that there are; an empty list where each can be read."""
    directory = RunDirectory(folder / "run")
    said = []
    for path in (directory.last, checkpoint.previous(directory.last), directory.best):
        if path.exists():
            try:
                checkpoint.load(path)
            except checkpoint.CheckpointError as error:
                said.append(str(error))
    if directory.has_epochs() and not directory.has_checkpoint():
        said.append("a best checkpoint or a history, but neither a last nor a previous checkpoint")
    return said


def steps(folder: Path) -> int:
    """Steps that the last checkpoint is behind."""
    directory = RunDirectory(folder / "run")
    for path in (directory.last, checkpoint.previous(directory.last)):
        if path.exists():
            history = checkpoint.load(path)[1]
            return history.trained * tiny.STEPS + history.steps
    return 0


def differences(folder: Path, whole: Path) -> list[str]:
    """In what a complete run differs from one that nothing disturbed: weights, optimizer, history."""
    found = []
    for name in ("last.keras", "best.keras"):
        mine, theirs = (_arrays(each / "run" / name) for each in (folder, whole))
        found += [f"{name} {key}" for key in sorted({*mine, *theirs}) if not _is_same(mine.get(key), theirs.get(key))]
    rows = [_rows(each / "run" / "history.csv") for each in (folder, whole)]
    return [*found, *(["history.csv"] if rows[0] != rows[1] else [])]


def _arrays(path):
    arrays = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if hasattr(item, "shape") else None)
    return arrays


def _is_same(first, second):
    return first is not None and second is not None and np.array_equal(first, second, equal_nan=True)


def _rows(path):
    with path.open() as file:
        return [{name: text for name, text in row.items() if name not in _TIMES} for row in csv.DictReader(file)]
