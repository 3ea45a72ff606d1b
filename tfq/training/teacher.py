"""The teacher of a run: read from its file, tried against the data, and known again when the run goes on."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfq import walk
from tfq.backend.keras import keras
from tfq.data.dataset import Dataset
from tfq.files import PathLike
from tfq.training import run_data, structure, transfer
from tfq.training.run_directory import RunDirectory, RunDirectoryError

_FLAG = "--teacher"


class TeacherError(RunDirectoryError):
    """The teacher cannot be read, is not for these data, or is not the one that the run began with; the message says which."""


class Teacher(NamedTuple):
    """The file of a network that another one learns from, and its SHA-256."""

    path: Path
    digest: str

    def load(self, build: Callable[[], keras.Model], dataset: Dataset) -> keras.Model:
        """The network.

        Args:
            build: makes the float network that weights alone are of.
            dataset: the data that it is to be asked about.

        Raises:
            TeacherError: it cannot be read, takes other images, or has other classes.
        """
        is_weights_alone = self.path.suffix == ".npz" or structure.is_weights_alone(self.path)
        try:
            model = _with_weights(build(), self.path) if is_weights_alone else transfer.load(self.path, _FLAG)
            run_data.check_fits(model, self.path, dataset)
        except (transfer.TransferError, run_data.OtherDataError) as error:
            raise TeacherError(str(error)) from error
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return model


def find(source: PathLike, dataset: Dataset) -> Teacher:
    """The teacher that `--teacher` means.

    Args:
        source: run directory, of which the best checkpoint is taken, else the last; checkpoint of Keras; or weights alone, an
            `.npz` of `tfq weights` or a `.weights.h5`.
        dataset: the data that it is to be asked about.

    Raises:
        TeacherError: there is no such file, it cannot be read, or the run that it lies in is of other data.
    """
    try:
        return _find(source, dataset)
    except transfer.TransferError as error:
        raise TeacherError(str(error)) from error
    except OSError as error:
        raise _unreadable(source, error) from error


def _find(source, dataset):
    path = transfer.find(source, _FLAG)
    known = run_data.read(RunDirectory(path.parent))
    differs = run_data.difference(run_data.describe(dataset), known) if known else None
    if differs:
        raise TeacherError(f"{_FLAG}={source} was trained on other data: {differs}")
    with path.open("rb") as file:
        return Teacher(path, hashlib.file_digest(file, "sha256").hexdigest())


def _unreadable(source, error):
    return TeacherError(f"{_FLAG}={source} cannot be read: {error.strerror or error}")


def claim(directory: RunDirectory, teacher: Teacher | None) -> None:
    """Say that the run in the directory learns from this teacher, or from none.

    Raises:
        TeacherError: it learns from another one, wherever that lies, or from none.
    """
    before = directory.read_json(directory.teacher)
    now = {"path": str(teacher.path), "digest": teacher.digest} if teacher else {}
    if directory.has_epochs() and before.get("digest") != now.get("digest"):
        raise TeacherError(
            f"the run in {directory.path} learns from {_words(before)}, not from {_words(now)}: give the same, another "
            "--run_dir, or --noresume to start over"
        )
    if now:
        directory.path.mkdir(parents=True, exist_ok=True)
        directory.write_json(directory.teacher, now)
    else:  # that of a start without an epoch
        directory.teacher.unlink(missing_ok=True)


def _with_weights(model, path):
    """The network with the weights of the file, which must be all of its own."""
    # With all of them to be left out where they do not fit, so that the line below names them, not one on `--init_skip`.
    given, own = transfer.read(path, model, ["*"], _FLAG), walk.weights(model)
    wrong = [layer for layer, named in own.items() if not _fits(named, given.get(layer, {}))]
    wrong += [layer for layer in given if layer not in own]
    if wrong:
        more = f" and {len(wrong) - structure.MANY} more" if len(wrong) > structure.MANY else ""
        raise TeacherError(
            f"{_FLAG}={path} holds weights alone, not those of the float network of these flags: other are "
            f"{', '.join(wrong[: structure.MANY])}{more}; another network has to be saved as .keras"
        )
    for layer, named in own.items():
        for name, weight in named.items():
            weight.assign(given[layer][name])
    return model


def _fits(own, given):
    same = {name: tuple(weight.shape) for name, weight in own.items()} == {name: array.shape for name, array in given.items()}
    return same and not any(np.isnan(array).all() for array in given.values())  # what was left out is NaN


def _words(known):
    return f"{_FLAG}={known['path']} (SHA-256 {known['digest'][:8]})" if known else "no teacher"
