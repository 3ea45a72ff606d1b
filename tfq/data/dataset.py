"""What every data set is given as."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfq.data import names, streams
from tfq.data.errors import DataError
from tfq.data.stored import StoredImages


@dataclass(frozen=True)
class Dataset:
    """Images and labels of a data set.

    `x_train` and `x_test` are uint8 (N, H, W, C), the labels int32 (N,) from 0 to `num_classes` - 1. `mean` and `std` are those
    of the training pixels scaled to [0, 1], float32 (C,). `flip` says whether a mirrored image is still one of its class;
    `source` where the data came from; `labels` are the names of the classes, one each or none. Images on disk are `StoredImages`,
    and `digest` is what is known of them: that of `tfq.data.digest`.
    """

    name: str
    x_train: np.ndarray | StoredImages
    y_train: np.ndarray
    x_test: np.ndarray | StoredImages
    y_test: np.ndarray
    num_classes: int
    mean: np.ndarray
    std: np.ndarray
    flip: bool
    source: str
    labels: tuple[str, ...] = ()
    digest: str | None = None

    def __str__(self):
        shape = " x ".join(map(str, self.x_train.shape[1:]))
        return (
            f"{self.name} {self.source}: {len(self.x_train):,} training and {len(self.x_test):,} test images of {shape} "
            f"(height x width x channels), {self.num_classes} classes"
        )


def make(
    name: str,
    arrays: Iterable[np.ndarray],
    num_classes: int,
    flip: bool,
    source: str,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
) -> Dataset:
    """A `Dataset` of the arrays (x_train, y_train, x_test, y_test); mean and deviation are computed where they are not known.

    Names of the classes are those known of the data set, if none are given.
    """
    x_train, y_train, x_test, y_test = arrays
    if mean is None:
        mean, std = _pixel_statistics(x_train)
    return Dataset(
        name,
        np.ascontiguousarray(x_train),
        np.ravel(y_train).astype(np.int32),
        np.ascontiguousarray(x_test),
        np.ravel(y_test).astype(np.int32),
        num_classes,
        np.asarray(mean, np.float32),
        np.asarray(std, np.float32),
        flip,
        source,
        tuple(names.KNOWN.get(name, ()) if labels is None else labels),
    )


def stored(
    name: str,
    parts: Sequence[tuple[StoredImages, np.ndarray]],
    num_classes: int,
    scanned: dict[str, Any],
    source: str,
    labels: Sequence[str],
) -> Dataset:
    """A `Dataset` of images on disk, of parts to train and to test on and what `tfq.data.scan.scan` saw in them. No flip."""
    (x_train, y_train), (x_test, y_test) = parts
    mean, std = _of_counts(np.array(scanned["counts"]))
    statistics = mean.astype(np.float32), std.astype(np.float32)
    arrays = x_train, y_train, x_test, y_test
    return Dataset(name, *arrays, num_classes, *statistics, False, source, tuple(labels), scanned["digest"])


def hold_out(dataset: Dataset, count: int, seed: int) -> tuple:
    """Split images off the training set.

    Args:
        dataset: the `Dataset`.
        count: number of images to hold out, fewer than there are.
        seed: which ones.

    Returns:
        Images and labels to train on, then the held-out images and labels.

    Raises:
        DataError: `count` does not leave both parts an image.
    """
    total = len(dataset.x_train)
    if not 0 < count < total:
        raise DataError(f"--holdout={count} must be from 1 to {total - 1}: {dataset.name} has {total} training images")
    order = streams.hold_out(seed).permutation(total)
    held, kept = np.sort(order[:count]), np.sort(order[count:])
    return dataset.x_train[kept], dataset.y_train[kept], dataset.x_train[held], dataset.y_train[held]


def _pixel_statistics(images):
    # From the counts of the 256 values: exact, and without a float copy of the images.
    return _of_counts(np.stack([np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(images.shape[-1])]))


def _of_counts(counts):
    values = np.arange(256) / 255.0
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    deviation = np.sqrt(shares @ values**2 - mean**2)
    # A channel without contrast stays as it is.
    return mean, np.where(deviation > 0, deviation, 1.0)
