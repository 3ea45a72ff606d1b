"""Checkpoints that hold the whole state of a run, and survive being killed at any moment.

A checkpoint is a file of Keras (weights, optimizer, configuration) with the history of the run inside it: one file, put in place
by one rename. The one before is kept as `previous`.
"""

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfq import files
from tfq.backend.keras import keras
from tfq.files import PathLike
from tfq.optional import require
from tfq.terminal import Log
from tfq.training.history import History

_HISTORY = "tfq_history.json"
_WITHIN = "tfq_within_epoch"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or read; the message says which, why, and what is left."""


def save(model: keras.Model, path: Path, history: History, within: Mapping[str, np.ndarray] | None = None) -> None:
    """Write model, optimizer and history to `path`; the file that was there becomes `previous`.

    Args:
        model: a compiled Keras model.
        path: where to; ends with `.keras` or `.h5`.
        history: the `History` of the run.
        within: arrays that a stopped epoch needs to go on, by names without a slash at either end.

    Raises:
        CheckpointError: it cannot be written; what was there before is kept.
    """
    path = Path(path)
    try:
        with files.replacing(path) as temporary:
            model.save(str(temporary))
            if within:
                _attach_within(temporary, within)
            _attach(temporary, history.text())
            if path.exists():
                os.replace(path, previous(path))
    except (OSError, RuntimeError) as error:
        raise _unwritable(path, error) from error


def update(path: Path, history: History) -> None:
    """Write the history anew into the checkpoint at `path`, beside the same weights, whole or not at all.

    Raises:
        CheckpointError: it cannot be written; what was there before is kept.
    """
    path = Path(path)
    try:
        with files.replacing(path) as temporary:
            _copy_model(path, temporary)
            _attach(temporary, history.text())
    except (OSError, RuntimeError) as error:
        raise _unwritable(path, error) from error


def copy(source: Path, target: Path) -> None:
    """Copy a checkpoint, whole or not at all."""
    try:
        with files.replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    except OSError as error:
        raise CheckpointError(f"cannot copy the checkpoint {source} to {target}: {_reason(error)}") from error


def _unwritable(path, error):
    kept = "; the earlier one is kept" if any(map(os.path.exists, (path, previous(path)))) else ""
    return CheckpointError(f"cannot write the checkpoint {path}: {_reason(error)}{kept}")


def previous(path: Path) -> Path:
    """Where `save` keeps the checkpoint before the one at `path`."""
    path = Path(path)
    return path.with_name(f"previous{path.suffix}")


def load(path: PathLike) -> tuple[keras.Model, History]:
    """Read a checkpoint.

    Args:
        path: the file.

    Returns:
        The model as it was saved, and its `History`.

    Raises:
        CheckpointError: it is missing, damaged, or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        history = History.from_text(_attached(path))
        model = keras.models.load_model(str(path))
    except Exception as error:  # whatever the readers of a damaged file come upon
        raise CheckpointError(f"the checkpoint {path} cannot be read: {_reason(error)}") from error
    return model, history


def load_latest(path: Path, log: Log = print) -> tuple[keras.Model, History] | None:
    """Read the checkpoint at `path`; where it is damaged or missing, the one before, which then takes its place.

    Returns:
        The model and its `History`, or None where there is no checkpoint at all.

    Raises:
        CheckpointError: there are checkpoints, but none can be read.
    """
    candidates = [candidate for candidate in (Path(path), previous(path)) if candidate.exists()]
    errors = []
    for candidate in candidates:
        try:
            found = load(candidate)
        except CheckpointError as error:
            errors.append(str(error))
            log(f"WARNING: {error}")
            continue
        if candidate != Path(path):
            copy(candidate, path)  # else the best one could become a copy of the damaged
        return found
    if errors:
        raise CheckpointError(f"{'; '.join(errors)}: remove the run directory, or start over with --noresume")
    return None


def read_within(path: PathLike) -> dict[str, np.ndarray]:
    """The arrays of a stopped epoch in the checkpoint at `path`; none where it was written between epochs."""
    path = Path(path)
    if path.suffix == ".h5":
        with require("h5py").File(path, "r") as file:
            return {bytes.fromhex(name).decode(): item[()] for name, item in file.get(_WITHIN, {}).items()}
    with zipfile.ZipFile(path) as archive:
        if f"{_WITHIN}.npz" not in archive.namelist():
            return {}
        with np.load(io.BytesIO(archive.read(f"{_WITHIN}.npz")), allow_pickle=False) as arrays:
            return dict(arrays)


def restore(model: keras.Model, saved: keras.Model) -> None:
    """Copy weights and optimizer state of a loaded model into one that was built anew from the same flags.

    Not the loaded model itself goes on: Keras does not save which weights are excluded from weight decay.

    Args:
        model: the compiled model to go on with.
        saved: the model that `load` gave.

    Raises:
        CheckpointError: the two are not the same network.
    """
    try:
        model.set_weights(saved.get_weights())
        model.optimizer.build(model.trainable_variables)
        for variable, value in zip(model.optimizer.variables, saved.optimizer.variables, strict=True):
            variable.assign(value)
    except ValueError as error:
        raise CheckpointError(f"the checkpoint does not fit the network of these flags: {_reason(error)}") from error


def _copy_model(source, target):
    """A copy to which a history can be attached; into a zip file it would go beside the one that is there."""
    if source.suffix == ".h5":
        shutil.copyfile(source, target)
        return
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            if member.filename != _HISTORY:
                new.writestr(member, old.read(member))


def _attach(path, text):
    if path.suffix == ".h5":
        with require("h5py").File(path, "r+") as file:
            file.attrs[_HISTORY] = text
            file.attrs["tfq_sha256"] = _digest(file)
    else:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(_HISTORY, text)


def _attach_within(path, arrays):
    if path.suffix == ".h5":
        with require("h5py").File(path, "r+") as file:
            group = file.create_group(_WITHIN)
            for name, array in arrays.items():
                group[name.encode().hex()] = array  # a slash would make groups
        return
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        content = io.BytesIO()
        np.savez(content, **arrays)
        archive.writestr(f"{_WITHIN}.npz", content.getvalue())


def _attached(path):
    """The history in a checkpoint, after all of the file was found to be whole."""
    if path.suffix == ".h5":
        with require("h5py").File(path, "r") as file:
            if _digest(file) != file.attrs["tfq_sha256"]:
                raise ValueError("its checksum does not fit its content")
            return file.attrs[_HISTORY]
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged:
            raise ValueError(f"its member {damaged} does not fit its checksum")
        return archive.read(_HISTORY)


def _digest(file):
    """SHA-256 over all arrays of an HDF5 file, which has no checksum of its own."""
    digest = hashlib.sha256()

    def add(name, item):
        if hasattr(item, "shape"):
            digest.update(name.encode())
            digest.update(item[()].tobytes())

    file.visititems(add)
    return digest.hexdigest()


def _reason(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
