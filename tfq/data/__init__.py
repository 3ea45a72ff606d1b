"""Data sets as arrays, and batches of them for every backend."""

from tfq.data import cifar10, digits, keras_datasets, npz
from tfq.data.batches import Batches
from tfq.data.dataset import DataError, Dataset, hold_out
from tfq.data.feed import feed
from tfq.data.on_device import feeding

__all__ = ["NAMES", "Batches", "DataError", "Dataset", "feed", "feeding", "hold_out", "load"]

_LOADERS = {
    "cifar10": cifar10.load,
    "cifar100": keras_datasets.load_cifar100,
    "digits": digits.load,
    "mnist": keras_datasets.load_mnist,
    "npz": npz.load,
}

_READ_DATA_DIR = ("cifar10", "npz")

NAMES = tuple(_LOADERS)


def load(name, data_dir=None, log=print):
    """A data set by its name.

    Args:
        name: one of `NAMES`.
        data_dir: where `cifar10` is looked for first; the file of `npz`.
        log: takes lines on what is tried.

    Returns:
        The `Dataset`.

    Raises:
        DataError: it is unknown, not to be had, or damaged.
    """
    if name not in _LOADERS:
        raise DataError(f"data set {name!r} is unknown; known are {', '.join(NAMES)}")
    if data_dir and name not in _READ_DATA_DIR:
        log(f"--data_dir={data_dir} is not used: only {' and '.join(_READ_DATA_DIR)} are looked for there")
    return _LOADERS[name](data_dir, log)
