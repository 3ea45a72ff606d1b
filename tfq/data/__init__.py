"""Data sets as arrays, and batches of them for every backend."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tfq.data import cifar10, classes, digits, folder, keras_datasets, names, npz, shards
from tfq.data.batches import Batches
from tfq.data.dataset import Dataset, hold_out
from tfq.data.errors import DataError
from tfq.data.feed import feed
from tfq.data.on_device import feeding
from tfq.data.stored import StoredImages
from tfq.data.streamed import StreamedBatches
from tfq.files import PathLike
from tfq.terminal import Log

__all__ = [
    "NAMES",
    "Batches",
    "DataError",
    "Dataset",
    "StoredImages",
    "StreamedBatches",
    "batches_of",
    "feed",
    "feeding",
    "hold_out",
    "load",
    "of_flags",
]

_LOADERS = {
    "cifar10": cifar10.load,
    "cifar100": keras_datasets.load_cifar100,
    "digits": digits.load,
    "folder": folder.load,
    "mnist": keras_datasets.load_mnist,
    "npz": npz.load,
    "shards": shards.load,
}

_READ_DATA_DIR = ("cifar10", "npz", "folder", "shards")
_STREAM = ("npz", "folder")

NAMES = tuple(_LOADERS)


def load(
    name: str,
    data_dir: PathLike | None = None,
    log: Log = print,
    *,
    image_size: str | None = None,
    labels: str | None = None,
    stream: bool = False,
) -> Dataset:
    """A data set by its name.

    Args:
        name: one of `NAMES`.
        data_dir: where `cifar10` is looked for first; the file of `npz`; the folder of `folder` and of `shards`.
        log: takes lines on what is tried, and on classes without images.
        image_size: "32" or "32x48" (height x width), to scale the images of `folder` to; None for images of one size.
        labels: names of the classes, with commas between, or a file of them; None for those of the data set.
        stream: leave the images of `npz` and `folder` on disk, where they do not fit memory. Those of `shards` stay there anyway.

    Returns:
        The `Dataset`.

    Raises:
        DataError: it is unknown, not to be had, or damaged.
    """
    if name not in _LOADERS:
        raise DataError(f"data set {name!r} is unknown; known are {', '.join(NAMES)}")
    if data_dir and name not in _READ_DATA_DIR:
        log(f"--data_dir={data_dir} is not used: only {_and(_READ_DATA_DIR)} are looked for there")
    options: dict[str, Any] = {} if image_size is None else {"image_size": image_size}
    if options and name != "folder":
        raise DataError(f"image_size={image_size} is for images of a folder; got data set {name!r}")
    if stream and name in _STREAM:
        options["stream"] = True
    elif stream and name != "shards":
        raise DataError(f"--stream is for --dataset={' or '.join(_STREAM)}; got --dataset={name}")
    made = _LOADERS[name](data_dir, log, **options)
    if labels is not None:
        made = _named(made, labels)
    for line in classes.remarks(made):
        log(line)
    return made


def of_flags(flags: Mapping[str, Any], log: Log = print) -> Dataset:
    """The data set that the flags of a run name.

    Args:
        flags: names to texts, as `RunDirectory.read_flags` gives them, or to values.
        log: as of `load`.
    """
    options = {name: flags.get(name) for name in ("image_size", "labels")}
    return load(flags["dataset"], flags.get("data_dir"), log, stream=flags.get("stream") in (True, "true"), **options)


def batches_of(x: Any, *arguments: Any, **options: Any) -> Batches:
    """`Batches` of arrays, or `StreamedBatches` of images on disk; takes what both take."""
    kind = StreamedBatches if isinstance(x, StoredImages) else Batches
    return kind(x, *arguments, **options)


def _named(dataset, text):
    given = names.read(text)
    if len(given) != dataset.num_classes:
        raise DataError(f"--labels names {len(given)} classes; {dataset.name} {dataset.source} has {dataset.num_classes}")
    return replace(dataset, labels=given)


def _and(words):
    return f"{', '.join(words[:-1])} and {words[-1]}"
