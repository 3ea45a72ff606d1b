"""The user's own arrays."""

from dataclasses import replace
from pathlib import Path

from tfq.data import cache, classes, memory, names, pixels, shards
from tfq.data.dataset import Dataset, make
from tfq.data.errors import DataError
from tfq.files import PathLike
from tfq.terminal import Log

_X, _Y = cache.KEYS[::2], cache.KEYS[1::2]


def load(data_dir: PathLike | None = None, log: Log = print, stream: bool = False) -> Dataset:
    """The arrays of an .npz file. No flip.

    Its keys:
        x_train, x_test: images (N, H, W, C) of 8 bits, as `tfq.data.pixels.as_uint8` takes them.
        y_train, y_test: the class of each, from 0, as `tfq.data.classes.of_labels` takes them.
        labels: texts (classes,), the names of the classes; may be left out.

    Labels stay as they are: there are as many classes as the highest label + 1, or as there are one-hot columns or names.

    Args:
        data_dir: the file.
        log: takes lines on what was taken how.
        stream: leave the images on disk: the file is unpacked once, and its arrays have to be uint8.

    Raises:
        DataError: no such file, arrays that are not of this form, or more than memory or disk have room for.
    """
    path = Path(data_dir or "").expanduser()
    if not path.is_file():
        raise DataError(f"{data_dir} must be an .npz file with {', '.join(cache.KEYS)}")
    if stream:
        return replace(shards.load(shards.unpacked(path, log), log), name="npz", source=f"from {path}")
    memory.check_fits(path, cache.unpacked_bytes(path))
    x_train, y_train, x_test, y_test, given = cache.read_npz(path, optional=("labels",))
    x_train, x_test = pixels.as_uint8(path, dict(zip(_X, (x_train, x_test), strict=True)), log)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(f"{path}: training images are {x_train.shape[1:]}, test images {x_test.shape[1:]}")
    y_train, in_train = classes.of_labels(path, _Y[0], y_train, len(x_train))
    y_test, in_test = classes.of_labels(path, _Y[1], y_test, len(x_test))
    labels, num_classes = names.of_array(path, given), max(in_train, in_test)
    if labels and len(labels) < num_classes:
        raise DataError(f"{path}: labels names {len(labels)} classes, but {_Y[0]} and {_Y[1]} have {num_classes}")
    arrays = x_train, y_train, x_test, y_test
    return make("npz", arrays, len(labels) or num_classes, flip=False, source=f"from {path}", labels=labels)
