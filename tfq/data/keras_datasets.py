"""Data sets that Keras fetches, and keeps in its own cache folder.

Keras, not pooch: it checks the same hashes, and finds what is in its folder already.
"""

import contextlib
import socket
from collections.abc import Sequence

import numpy as np

# Keras 3's, whichever Keras trains: those of tf_keras trust an archive that was half unpacked when they were killed, and unpickle
# whatever is in it.
from keras import datasets

from tfq.data.dataset import Dataset, make
from tfq.data.errors import DataError
from tfq.files import PathLike
from tfq.terminal import Log, one_line

_SILENCE = 30  # seconds without an answer after which a server counts as out of reach


def load_cifar100(data_dir: PathLike | None = None, log: Log = print) -> Dataset:
    """CIFAR-100 with its 100 fine labels."""
    return make(
        "cifar100", _fetch(datasets.cifar100, "cifar100", "cifar-100-python-target_archive"), 100, flip=True, source="by Keras"
    )


def load_mnist(data_dir: PathLike | None = None, log: Log = print) -> Dataset:
    """MNIST as 32x32x3: 2 black pixels on each side, three equal channels. No flip: a mirrored digit is none."""
    x_train, y_train, x_test, y_test = _fetch(datasets.mnist, "mnist", "mnist.npz")
    return make("mnist", (_as_color(x_train), y_train, _as_color(x_test), y_test), 10, flip=False, source="by Keras")


def load_cifar10() -> Sequence[np.ndarray]:
    """The arrays x_train, y_train, x_test, y_test of CIFAR-10; the labels have shape (N,).

    Raises:
        DataError: it is not in Keras' cache, and its home cannot be reached.
    """
    return _load(datasets.cifar10)


def _fetch(module, name, file):
    try:
        return _load(module)
    except DataError as error:
        raise DataError(
            f"Keras cannot load {name}: {error}. Where its home cannot be reached, fetch the file elsewhere and put it here as "
            f"datasets/{file} in $KERAS_HOME or ~/.keras"
        ) from error


def _load(module):
    try:
        with _time_limit():
            (x_train, y_train), (x_test, y_test) = module.load_data()
    except Exception as error:  # Keras raises a bare Exception where the data's home cannot be reached
        raise DataError(one_line(error)) from error
    return _channels_last(x_train), y_train.reshape(-1), _channels_last(x_test), y_test.reshape(-1)


def _channels_last(images):
    """Undo what Keras does where the user's settings of it say `channels_first`."""
    return images.transpose(0, 2, 3, 1) if images.ndim == 4 and images.shape[-1] != 3 else images


@contextlib.contextmanager
def _time_limit():
    """Keras sets none for its connections, so that a server that keeps silent would hold the program for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _as_color(images):
    return np.repeat(np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None], 3, axis=-1)
