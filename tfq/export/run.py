"""Reads a run, or a model file, for an export: its checkpoint and its summary, not the code that made it."""

import contextlib
import json

import numpy as np

from tfq import data
from tfq.compat import is_legacy, keras, require
from tfq.training import checkpoint
from tfq.training.run_directory import RunDirectory

IMAGES = 256


class RunError(ValueError):
    """There is no run, or no model, to export; the message says what was looked for."""


def read(path, images=None, pixel_mean=None, pixel_std=None, count=None):
    """The model of a run or of a file, with what the run says of its images.

    Args:
        path: directory of a run, or `.keras` or `.h5` file.
        images: batch to compare on; None for test images of the run's data set.
        pixel_mean: as in `export_model`; None for the run's.
        pixel_std: likewise.
        count: how many test images, if those; None for 256.

    Returns:
        The model, images, mean and deviation.

    Raises:
        RunError: there is none.
        CheckpointError: the checkpoint cannot be read.
        DataError: the run's data set cannot be had.
    """
    if path.is_file():
        return _model_of_file(path), images, pixel_mean, pixel_std
    directory = RunDirectory(path, suffix=".h5" if (path / "best.h5").exists() else ".keras")
    if not directory.best.exists():
        raise RunError(f"there is no run in {path}: it has no {directory.best.name}")
    flags = directory.read_flags() or {}
    _check_keras(flags, path)
    with _reading(directory.best):
        model, _ = checkpoint.load(directory.best)
    if pixel_mean is None and directory.summary.exists():
        summary = json.loads(directory.summary.read_text(encoding="utf-8"))
        pixel_mean, pixel_std = (np.asarray(summary[name], np.float32) for name in ("pixel_mean", "pixel_std"))
    if images is None:
        images, pixel_mean, pixel_std = _test_images(flags, path, pixel_mean, pixel_std, count or IMAGES)
    return model, images, pixel_mean, pixel_std


def _model_of_file(path):
    with _reading(path):
        try:
            return keras.models.load_model(str(path), compile=False)
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{path} is no model of this Keras: {(str(error).strip() or 'unreadable').splitlines()[0]}") from error


def _check_keras(flags, path):
    """Raise where the run is of the other Keras, whose files this one cannot read."""
    of_legacy = flags.get("backend") == "tf_keras" or flags.get("method") == "int8"
    if of_legacy != is_legacy:
        needed = "set TF_USE_LEGACY_KERAS=1" if of_legacy else "unset TF_USE_LEGACY_KERAS"
        raise RunError(f"the run in {path} is of {'tf_keras' if of_legacy else 'Keras 3'}: {needed}")


def _reading(path):
    """Context in which Keras can read a file; an `.h5` file of ours holds tfmot's wrappers."""
    if path.suffix != ".h5":
        return contextlib.nullcontext()
    return require("tensorflow_model_optimization").quantization.keras.quantize_scope()


def _test_images(flags, path, mean, std, count):
    """Test images of the run's data set, with the statistics that they are to be prepared with."""
    dataset = _dataset(flags, path)
    mean, std = (dataset.mean, dataset.std) if mean is None else (mean, std)
    return dataset.x_test[:count], mean, std


def test_labels(path, count):
    """The right classes of the first `count` test images of a run's data set, integers (count,)."""
    return _dataset(RunDirectory(path).read_flags() or {}, path).y_test[:count]


def _dataset(flags, path):
    if "dataset" not in flags:
        raise RunError(f"the run in {path} does not say its data set: give images")
    return data.load(flags["dataset"], flags.get("data_dir"), log=lambda line: None)
