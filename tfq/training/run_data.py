"""Which data a run is of, so that it does not go on with others, and is not tested on pixels that are prepared otherwise."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tfq.data.dataset import Dataset
from tfq.data.digest import digest
from tfq.files import PathLike
from tfq.terminal import Log
from tfq.training import checkpoint
from tfq.training.run_directory import RunDirectory, RunDirectoryError

_STATISTICS = ("pixel_mean", "pixel_std")


class OtherDataError(RunDirectoryError):
    """The run in the directory is of other data; the message says of which, and which came."""


def describe(dataset: Dataset) -> dict[str, Any]:
    """What `data.json` holds of a `tfq.data.Dataset`; the same arrays have the same `digest` wherever they lie."""
    return {
        "dataset": dataset.name,
        "source": dataset.source,
        "train_images": len(dataset.x_train),
        "test_images": len(dataset.x_test),
        "image_shape": list(dataset.x_train.shape[1:]),
        "num_classes": int(dataset.num_classes),
        "pixel_mean": [float(value) for value in dataset.mean],
        "pixel_std": [float(value) for value in dataset.std],
        "digest": dataset.digest or digest(dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test),
    }


def read(directory: RunDirectory) -> dict[str, Any]:
    """What the directory of a run says of its data: all of `describe`, of a run of an earlier version its statistics, or nothing.

    Raises:
        RunDirectoryError: the file cannot be read.
    """
    known = directory.read_json(directory.data) or directory.read_json(directory.summary)
    return known if all(name in known for name in _STATISTICS) else {}


def difference(known: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """How data differ from those of a run, as text with both; None where they do not, or nobody knows.

    Args:
        known: of the run, what `read` gave.
        now: of the data, what `describe` gave.
    """
    return None if not known or _same(known, now) else f"{_words(now)} instead of {_words(known)}"


def claim(directory: RunDirectory, dataset: Dataset, log: Log = print) -> Dataset:
    """Say that the run in the directory is of these data; gives them with the statistics that they are to be prepared with.

    Raises:
        OtherDataError: it is of others.
        CheckpointError: it does not say of which, and its network cannot be read.
    """
    is_begun = directory.has_epochs()
    known, now = read(directory) if is_begun else {}, describe(dataset)
    differs = difference(known, now)
    if differs:
        raise OtherDataError(
            f"the data are not those of the run in {directory.path}: {differs}; give the same, another --run_dir, or "
            "--noresume to start over"
        )
    if is_begun and "digest" not in known:
        _check_network(directory, dataset, log)
        log(f"==> The run in {directory.path} did not say which data it is of: from now on {directory.data.name} says these")
    directory.begin(now | {name: known[name] for name in _STATISTICS if known})
    return prepared(dataset, known)


def _check_network(directory, dataset, log):
    """Raise OtherDataError where the network of a run is not for such data: `data.json` would refuse its own from then on."""
    found = checkpoint.load_latest(directory.last, log)
    if found is not None:
        check_fits(found[0], directory.last, dataset)


def prepared(dataset: Dataset, known: Mapping[str, Any]) -> Dataset:
    """The data set with the pixel statistics of a run, as far as they are known."""
    if not known:
        return dataset
    mean, std = (np.asarray(known[name], np.float32) for name in _STATISTICS)
    return replace(dataset, mean=mean, std=std)


def check_fits(model: Any, path: PathLike, dataset: Dataset) -> None:
    """Raise OtherDataError unless the model of the checkpoint at `path` takes such images, and has as many classes."""
    shape, classes = tuple(model.input_shape[1:]), model.output_shape[-1]
    if shape != dataset.x_test.shape[1:] or classes != dataset.num_classes:
        raise OtherDataError(
            f"{dataset.name} {dataset.source} has images of {_shape(dataset.x_test.shape[1:])} in {dataset.num_classes} classes; "
            f"the network of {path} takes {_shape(shape)} and has {classes} classes"
        )


def _same(known, now):
    if "digest" in known:
        return all(known[name] == now[name] for name in ("digest", "num_classes"))
    # A run of an earlier version knows its statistics alone.
    return all(np.shape(known[name]) == np.shape(now[name]) and np.allclose(known[name], now[name]) for name in _STATISTICS)


def _words(data):
    mean = "pixel mean " + " ".join(f"{value:.3f}" for value in data["pixel_mean"])
    if "digest" not in data:
        return f"{data.get('dataset', 'data')} ({mean})"
    images = f"{data['train_images']} + {data['test_images']} images of {_shape(data['image_shape'])}"
    return f"{data['dataset']} {data['source']} ({images}, {data['num_classes']} classes, {mean}, digest {data['digest'][:8]})"


def _shape(shape):
    return "x".join(map(str, shape))
