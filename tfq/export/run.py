"""Reads a run, or a model file, for an export: its checkpoint and its summary, not the code that made it."""

import contextlib
import json
import re
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tfq import data
from tfq.backend.keras import is_legacy, load_model
from tfq.data import names
from tfq.data.dataset import Dataset
from tfq.export.errors import ExportError
from tfq.export.sample import Statistics
from tfq.export.verify import FEWEST_IMAGES
from tfq.optional import require
from tfq.training import checkpoint, run_data
from tfq.training.run_directory import RunDirectory, RunDirectoryError

IMAGES = 256
# What Keras says of a class that it does not have, far behind in its message.
_UNKNOWN = re.compile(r"Could not locate (?:class|function) '[^']*'|Unknown [a-z ]+: '[^']*'")


class RunError(ExportError):
    """There is no run, or no model, to export; the message says what was looked for."""


def read(
    path: Path,
    images: np.ndarray | tuple[()] | None = None,
    pixel_mean: Statistics | None = None,
    pixel_std: Statistics | None = None,
    count: int | None = None,
) -> tuple[Any, Any, Statistics | None, Statistics | None]:
    """The model of a run or of a file, with what the run says of its images.

    Args:
        path: directory of a run, or `.keras` or `.h5` file.
        images: batch to compare on; None for test images of the run's data set.
        pixel_mean: as in `export_model`; None for the run's.
        pixel_std: likewise.
        count: how many test images, if those, 16 or more; None for 256.

    Returns:
        The model, images, mean and deviation.

    Raises:
        RunError: there is none, it is damaged, its data set is another one now or cannot be had, or `count` is too small.
        CheckpointError: the checkpoint cannot be read.
    """
    if count is not None and (not isinstance(count, int) or count < FEWEST_IMAGES):
        raise RunError(f"count must be an integer of {FEWEST_IMAGES} or more; got count={count!r}")
    if path.is_file():
        return _model_of_file(path), images, pixel_mean, pixel_std
    directory = RunDirectory(path, suffix=".h5" if (path / "best.h5").exists() else ".keras")
    if not path.exists():
        raise RunError(f"there is no run in {path}, nor a model file of that name")
    if not directory.best.exists():
        raise RunError(f"there is no run in {path}: it has no {directory.best.name}")
    flags = directory.read_flags() or {}
    _check_keras(flags, directory.best)
    with _reading(directory.best):
        model, _ = checkpoint.load(directory.best)
    said = [file for file in (directory.data, directory.summary) if file.exists()]
    if pixel_mean is None and said:
        pixel_mean, pixel_std = _pixel_statistics(said[0])
    if images is None:
        images, pixel_mean, pixel_std = _test_images(flags, path, pixel_mean, pixel_std, IMAGES if count is None else count)
    return model, images, pixel_mean, pixel_std


def _model_of_file(path):
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise RunError(f"{path} is no model of Keras: it is no zip file, or one that is cut off")
    with _reading(path):
        try:
            return load_model(path)
        except Exception as error:  # a damaged file, or one of something else, can raise almost anything
            raise RunError(f"{path} is no model of this Keras: {_reason(error)}") from error


def _reason(error):
    text = str(error).strip() or type(error).__name__
    unknown = _UNKNOWN.search(text)
    # Of an error within a layer, Keras tells all about the model first.
    return unknown[0] if unknown else textwrap.shorten(text.split("Exception encountered: ")[-1], 300, placeholder=" ...")


def _pixel_statistics(file):
    """Mean and deviation that `data.json` of a run holds, of a run of an earlier version its summary."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return [np.asarray(found[name], np.float32) for name in ("pixel_mean", "pixel_std")]
    except KeyError as error:
        raise RunError(f"{file} has no {error.args[0]}, without which pixels cannot be prepared") from error
    except (ValueError, TypeError) as error:
        raise RunError(f"{file} is no {file.stem} of a run: {error}") from error


def _check_keras(flags, file):
    """Raise where the run is of the other Keras, whose files this one cannot read."""
    of_legacy = flags.get("backend") == "tf_keras" or file.suffix == ".h5"
    if of_legacy != is_legacy:
        needed = "set TF_USE_LEGACY_KERAS=1" if of_legacy else "unset TF_USE_LEGACY_KERAS"
        raise RunError(f"the run in {file.parent} is of {'tf_keras' if of_legacy else 'Keras 3'}: {needed}")


def _reading(path):
    """Context in which Keras can read a file; an `.h5` file of ours holds tfmot's wrappers."""
    if path.suffix != ".h5":
        return contextlib.nullcontext()
    return require("tensorflow_model_optimization").quantization.keras.quantize_scope()


def _test_images(flags, path, mean, std, count):
    """Test images of the run's data set, with the statistics that they are to be prepared with."""
    dataset = _dataset(flags, path)
    mean, std = (dataset.mean, dataset.std) if mean is None else (mean, std)
    return np.asarray(dataset.x_test[:count]), mean, std


def test_labels(path: Path, count: int) -> np.ndarray:
    """The right classes of the first `count` test images of a run's data set, integers (count,)."""
    return _dataset(RunDirectory(path).read_flags() or {}, path).y_test[:count]


def class_names(path: Path) -> tuple[str, ...]:
    """Names of the classes of a run: of its summary, else of its data set; none where neither has them, or of a model file."""
    directory = RunDirectory(path)
    if directory.summary.exists():
        try:
            found = json.loads(directory.summary.read_text(encoding="utf-8"))
            if "labels" in found:
                return tuple(found["labels"])
        except (ValueError, TypeError) as error:
            raise RunError(f"{directory.summary} is no summary of a run: {error}") from error
    # Of an earlier version, or of a run that was interrupted.
    flags = directory.read_flags() or {}
    if flags.get("dataset") in names.KNOWN and not flags.get("labels"):
        return names.KNOWN[flags["dataset"]]
    try:
        return _dataset(flags, path).labels
    except RunError:
        return ()


def _dataset(flags, path):
    if "dataset" not in flags:
        raise RunError(f"the run in {path} does not say its data set: give images")
    try:
        dataset = data.of_flags(flags, log=lambda line: None)
    except data.DataError as error:  # such as a file that was moved
        raise RunError(f"the data of the run in {path} are not to be had: {error}; give images to compare on") from error
    check_data(path, dataset)
    return dataset


def check_data(path: Path, dataset: Dataset) -> None:
    """Raise RunError where a data set is not that of the run in the directory `path`, as far as the run says which it is of."""
    try:
        known = run_data.read(RunDirectory(path))
    except RunDirectoryError as error:
        raise RunError(str(error)) from error
    differs = run_data.difference(known, run_data.describe(dataset))
    if differs:
        raise RunError(f"the data are not those of the run in {path}: {differs}; give those, or images to compare on")
