"""Readers of the official files of CIFAR-10: python and binary batches, in a folder or a tarball."""

import io
import pickle
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfq.data import cache
from tfq.data.errors import DataError
from tfq.files import PathLike

_PYTHON_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_BINARY_BATCHES = tuple(f"{name}.bin" for name in _PYTHON_BATCHES)
_FILES = ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz")
_FOLDERS = (".", "cifar-10-batches-py", "cifar-10-batches-bin")


def read(data_dir: PathLike) -> Sequence[np.ndarray]:
    """The arrays x_train, y_train, x_test, y_test that are in `data_dir`: a folder, a tarball or an .npz file.

    Raises:
        DataError: there is no CIFAR-10 in it, or it is damaged.
    """
    path = Path(data_dir)
    try:
        return _read_file(path) if path.is_file() else _read_folder(path)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error


def _read_file(path):
    if path.suffix == ".npz":
        return cache.read_npz(path)
    with tarfile.open(path) as archive:
        members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
        return _read_batches(members, lambda name: archive.extractfile(members[name]).read())  # type: ignore[union-attr]


def _read_folder(path):
    if (path / "cifar10.npz").exists():
        return cache.read_npz(path / "cifar10.npz")
    for name in _FOLDERS:
        folder = path / name
        if any((folder / batch).exists() for batch in (_PYTHON_BATCHES[0], _BINARY_BATCHES[0])):
            return _read_batches(
                {file.name for file in folder.iterdir()}, lambda batch, folder=folder: (folder / batch).read_bytes()
            )
    for name in _FILES:
        if (path / name).exists():
            return _read_file(path / name)
    raise DataError(f"it holds none of {', '.join((*_FOLDERS[1:], *_FILES, 'cifar10.npz'))}, nor what they unpack to")


def _read_batches(names, content):
    for batches, parse in ((_PYTHON_BATCHES, _parse_python), (_BINARY_BATCHES, _parse_binary)):
        if batches[0] in names:
            missing = [name for name in batches if name not in names]
            if missing:
                raise DataError(f"{', '.join(missing)} is missing")
            *train, (x_test, y_test) = [_parse(parse, name, content(name)) for name in batches]
            return *(np.concatenate(arrays) for arrays in zip(*train, strict=True)), x_test, y_test
    raise DataError(f"it holds neither {_PYTHON_BATCHES[0]} nor {_BINARY_BATCHES[0]}")


def _parse(parse, name, content):
    try:
        return parse(content)
    except Exception as error:  # a damaged pickle can end in any
        raise DataError(f"{name} is damaged: {error!r}") from error


def _parse_python(content):
    batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    return _images(np.asarray(batch[b"data"], np.uint8)), np.asarray(batch[b"labels"], np.uint8)


def _parse_binary(content):
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return _images(records[:, 1:]), records[:, 0]


def _images(planes):
    return planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


class _ArrayUnpickler(pickle.Unpickler):
    """Reads the official pickles, which hold arrays, lists and byte strings, and refuses whatever else a pickle could call."""

    def find_class(self, module, name):
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.ndarray(0).__reduce__()[0]
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR-10 batch needs")
