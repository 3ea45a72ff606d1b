"""A folder of the user's image files, a class a subfolder."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from tfq import choices
from tfq.data import folder_stored, memory, names
from tfq.data.dataset import Dataset, make
from tfq.data.errors import DataError
from tfq.files import PathLike
from tfq.runtime.pictures import PictureError, Reader, look
from tfq.terminal import Log

_SHARE = 5  # one image in so many is to test on, where the folder does not say which
_SHOWN = 5


def load(data_dir: PathLike | None = None, log: Log = print, image_size: str | None = None, stream: bool = False) -> Dataset:
    """The image files of `DIR/train/CLASS/` and `DIR/test/CLASS/`, or of `DIR/CLASS/`, of any format that PIL reads. No flip.

    Classes are the names of the subfolders, in the order of their characters. `val` is taken for a `test` that is not there. In a
    folder without such parts, a fifth of each class is to test on, one image at least of two or more: those whose file names
    have the lowest SHA-256.

    Images are grey where all are, else RGB; transparency is left out. All must be of one size, or are scaled to `image_size` as
    a whole, without keeping their proportions. Files that cannot be read are left out and named, as is what else is there.

    Args:
        data_dir: the folder.
        log: takes lines on what is left out.
        image_size: "32" or "32x48" (height x width); None for the size that all of them have.
        stream: leave the images in their files, and read them when they are needed.

    Raises:
        DataError: there are no images to train or to test on, they are of more than one size (the message names two files), or
            they do not fit memory.
    """
    root = Path(data_dir or "").expanduser()
    if not data_dir or not root.is_dir():
        raise DataError(f"{data_dir} must be a folder of image files: DIR/train/CLASS/ and DIR/test/CLASS/, or DIR/CLASS/")
    try:
        size = None if image_size is None else choices.image_size(image_size)
    except ValueError as error:
        raise DataError(f"--{error}") from error
    try:
        train, test, labels = _find(root, log)
        if stream:
            return folder_stored.load(
                root, (train, test), labels, size, lambda log: _looks_and_reader(root, (train, test), size, log), log
            )
        looks, reader = _looks_and_reader(root, (train, test), size, log)
        memory.check_fits(root, len(looks) * int(np.prod(reader.shape)))
        arrays = [array for part in (train, test) for array in _read(part, looks, reader, log)]
    except (OSError, ValueError) as error:
        raise DataError(f"--data_dir={data_dir}: {error}") from error
    folder_stored.check_parts(root, (arrays[0], arrays[2]))
    return make("folder", arrays, len(labels), flip=False, source=f"from {root}", labels=labels)


def _find(root, log):
    """Files with the number of their class, to train and to test on, and the names of the classes."""
    train, test, val = (root / name for name in ("train", "test", "val"))
    if not _is_part(train):
        if _is_part(test):
            raise DataError(f"{root} has test/ with classes in it, but no train/")
        labels = names.check(_subfolders(root), root)
        _say(log, f"{root}: left out, no folder of a class", _files(root))
        parts: Any = zip(*(_split(_images(root / label, log)) for label in labels), strict=True) if labels else ((), ())
        return *(_numbered(part) for part in parts), labels
    parts = [train, test if _is_part(test) else val]
    if not _is_part(parts[1]):
        raise DataError(f"{root} has train/ with classes in it, but neither test/ nor val/")
    _say(log, f"{root}: left out", [*_files(root), *(path for path in _folders(root) if path not in parts)])
    labels = names.check(sorted({name for part in parts for name in _subfolders(part)}), root)
    for part in parts:
        _say(log, f"{part}: left out, no folder of a class", _files(part))
    found = [[_images(part / name, log) if (part / name).is_dir() else [] for name in labels] for part in parts]
    return *(_numbered(part) for part in found), labels


def _is_part(folder):
    # A class may be called `train`; it has images in it, and no folders.
    return folder.is_dir() and bool(_folders(folder))


def _folders(folder):
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(folder):
    return sorted(path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith("."))


def _subfolders(folder):
    return [path.name for path in _folders(folder)]


def _images(folder, log):
    """The image files of a class."""
    found = Reader.find(folder)
    others = {*_files(folder), *_folders(folder)} - {*found}
    _say(log, f"{folder}: left out, no image by their ending", sorted(others))
    return [path for path in found if not path.name.startswith(".")]


def _split(paths):
    """Files to train and to test on: a choice that does not depend on the machine, and hardly on what is added later."""
    order = sorted(paths, key=lambda path: hashlib.sha256(os.fsencode(path.name)).digest())
    count = max(1, len(paths) // _SHARE) if len(paths) > 1 else 0
    return sorted(order[count:]), sorted(order[:count])


def _numbered(classes):
    return [(path, number) for number, paths in enumerate(classes) for path in paths]


def _look(paths, log):
    """What can be said of each file without decoding it; those that cannot be opened are left out."""
    found, failed = {}, []
    for path in paths:
        try:
            found[path] = look(path)
        except PictureError as error:
            failed.append(f"{path} {error}")
    _say(log, "left out", failed)
    transparent = [path for path, one in found.items() if one.is_transparent]
    _say(log, "transparency is left out, and colours are taken as they are stored, of", transparent)
    return found


def _looks_and_reader(root, parts, size, log):
    """What can be said of each file, and what reads them all as images of one shape."""
    looks = _look([path for part in parts for path, _ in part], log)
    channels = 1 if all(one.is_grey for one in looks.values()) else 3
    return looks, Reader((*(size or _common_size(root, looks)), channels), resize=size is not None)


def _common_size(root, looks):
    if not looks:
        raise DataError(f"{root} has no images in folders of their class: DIR/train/CLASS/ and DIR/test/CLASS/, or DIR/CLASS/")
    first, *others = looks
    for path in others:
        if looks[path].size != looks[first].size:
            (height, width), (other_height, other_width) = looks[first].size, looks[path].size
            raise DataError(
                f"images must be of one size: {path} is {other_width} x {other_height} pixels, {first} is {width} x {height}; "
                f"--image_size={height}x{width} (height x width) scales all to that"
            )
    return looks[first].size


def _read(files, looks, reader, log):
    """Images and classes of the files that can be decoded."""
    images, classes, failed = [], [], []
    for path, number in files:
        if path not in looks:
            continue
        try:
            images.append(reader.read(path))
            classes.append(number)
        except PictureError as error:
            failed.append(f"{path} {error}")
    _say(log, "left out", failed)
    return np.array(images, np.uint8), np.array(classes, np.int32)


def _say(log, what, items):
    if items:
        more = f", and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
        log(f"WARNING: {what}: {', '.join(map(str, items[:_SHOWN]))}{more}")
