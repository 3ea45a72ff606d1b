"""Arrays of the user that do not fit memory: `.npy` files, read image by image, and an `.npz` file unpacked into such."""

import errno
import hashlib
import os
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tfq import files
from tfq.data import cache, classes, names, scan
from tfq.data.dataset import Dataset, stored
from tfq.data.errors import DataError
from tfq.data.stored import StoredImages
from tfq.files import PathLike
from tfq.terminal import Log

_LABELS = "labels.txt"


def load(data_dir: PathLike | None = None, log: Log = print) -> Dataset:
    """The arrays of a folder of `.npy` files, whose images stay on disk. No flip.

    `x_train.npy`, or `x_train-*.npy` in the order of their names, hold images, uint8 (N, H, W, C) or grey ones (N, H, W). Files
    of `y_train` hold their labels, as `tfq.data.classes.of_labels` takes them. So do those of `x_test` and `y_test`.
    `labels.txt` names the classes, one a line; it may be left out.

    All images are read once, for their digest and the statistics of their pixels. Both are kept in the cache.

    Raises:
        DataError: files are missing, or are not of this form.
    """
    root = Path(data_dir or "").expanduser()
    if not data_dir or not root.is_dir():
        raise DataError(f"{data_dir} must be a folder of x_train*.npy, y_train*.npy, x_test*.npy and y_test*.npy")
    found = {key: _files(root, key) for key in cache.KEYS}
    parts, numbers = [], []
    for x, y in (cache.KEYS[:2], cache.KEYS[2:]):
        images = _images(found[x])
        labels, count = classes.of_labels(root, y, _joined(found[y]), len(images))
        parts.append((images, labels))
        numbers.append(count)
    if parts[0][0].image_shape != parts[1][0].image_shape:
        raise DataError(f"{root}: training images are {parts[0][0].image_shape}, test images {parts[1][0].image_shape}")
    given = names.of_file(root / _LABELS) if (root / _LABELS).is_file() else ()
    if given and len(given) < max(numbers):
        raise DataError(f"{root / _LABELS} names {len(given)} classes, but y_train and y_test have {max(numbers)}")
    log(f"{root}: {sum(images.nbytes for images, _ in parts):,} bytes of images stay on disk; the first start reads them all")
    seen = scan.known([path for key in cache.KEYS for path in found[key]], "shards", lambda: scan.scan(*parts))
    return stored("shards", parts, len(given) or max(numbers), seen, f"from {root}", given)


def unpacked(path: Path, log: Log) -> Path:
    """The folder of `.npy` files that an `.npz` file was unpacked into, which NumPy cannot map; done once, in the cache.

    Raises:
        DataError: it is damaged or lacks an array, or the disk has no room for it.
    """
    known = path.stat()
    key = hashlib.blake2b(f"{path.resolve()} {known.st_size} {known.st_mtime_ns}".encode(), digest_size=8).hexdigest()
    folder = cache.folder() / "unpacked" / f"{path.stem}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    import filelock  # here, since the layers load Keras alone

    with filelock.FileLock(folder.with_name(f"{folder.name}.lock")):  # a second process waits, and finds it there
        return folder if folder.is_dir() else _unpack(path, folder, log)


def _unpack(path, folder, log):
    beside = folder.with_name(f".writing-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:
            cache.check_keys(path, arrays)
            given = names.of_array(path, arrays.get("labels"))
        if given:
            files.write_text(beside / _LABELS, "".join(f"{name}\n" for name in given))
        with zipfile.ZipFile(path) as archive:
            members = [archive.getinfo(f"{key}.npy") for key in cache.KEYS]
            check_disk(beside, sum(member.file_size for member in members))
            log(f"{path}: unpacked once, into {folder}")
            for member in members:
                archive.extract(member, beside)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked: {error}") from error
    else:
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def check_disk(folder: Path, needed: int) -> None:
    """Raise DataError unless the disk of `folder` has room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f"{needed:,} bytes are needed in {folder}, whose disk has {free:,} free; TFQ_CACHE names another place")


def _files(root, key):
    one, several = root / f"{key}.npy", sorted(root.glob(f"{key}-*.npy"))
    if one.is_file() and several:
        raise DataError(f"{root} has both {key}.npy and {several[0].name}: take one of them away")
    if not one.is_file() and not several:
        raise DataError(f"{root} has neither {key}.npy nor {key}-*.npy")
    return several or [one]


def _mapped(path):
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as .npy: {error}") from error


def _joined(paths):
    """The labels of several files, one behind another."""
    arrays = [_mapped(path) for path in paths]
    for path, array in zip(paths, arrays, strict=True):
        if not array.ndim or array.shape[1:] != arrays[0].shape[1:]:
            raise DataError(f"labels must be arrays of one form: {path} is {array.shape}, {paths[0]} is {arrays[0].shape}")
    return np.concatenate(arrays)


def _images(paths):
    """The images of several files, one behind another."""
    arrays = [_with_channels(path, _mapped(path)) for path in paths]
    for path, array in zip(paths, arrays, strict=True):
        if array.shape[1:] != arrays[0].shape[1:]:
            raise DataError(f"images must be of one size: {path} has {array.shape[1:]}, {paths[0]} has {arrays[0].shape[1:]}")
    ends = np.cumsum([len(array) for array in arrays])
    starts = ends - [len(array) for array in arrays]
    readers = [_reader(path, array) for path, array in zip(paths, arrays, strict=True)]

    def read(index):
        shard = int(np.searchsorted(ends, index, side="right"))
        return readers[shard](int(index - starts[shard]))

    return StoredImages(read, int(ends[-1]), arrays[0].shape[1:])


def _reader(path, array):
    """The function that reads an image of a file.

    It reads the bytes of this image. Through the mapping Linux would read ahead behind each of them, megabytes for an image of
    kilobytes where the disk is set so.
    """
    if not array.flags.c_contiguous:
        return lambda index: np.array(array[index])
    shape, size, begin = array.shape[1:], array[0].nbytes, array.offset
    path = path.absolute()  # the working directory may change
    known = path.stat().st_ino

    def read(index):
        image = np.empty(shape, np.uint8)
        with path.open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_ino != known:
                raise OSError(errno.EIO, "the file was replaced by another after it was loaded", os.fspath(path))
            file.seek(begin + index * size)
            if file.readinto(image) != size:
                raise OSError(errno.EIO, f"the file ends before image {index} does", os.fspath(path))
        return image

    return read


def _with_channels(path, array):
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or not array.size:
        raise DataError(
            f"{path} must hold uint8 images (N, H, W, C), or grey ones (N, H, W), at least one; got {array.dtype} {array.shape}. "
            "Others are taken from an .npz file that fits memory"
        )
    return array if array.ndim == 4 else array[..., None]
