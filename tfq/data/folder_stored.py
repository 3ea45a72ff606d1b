"""Image files that stay on disk, and are decoded when they are needed."""

import itertools
from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tfq.data import scan
from tfq.data.dataset import Dataset, stored
from tfq.data.errors import DataError
from tfq.data.stored import StoredImages
from tfq.runtime.pictures import PictureError, Reader
from tfq.terminal import Log

# Files with the number of their class.
Part: TypeAlias = Sequence[tuple[Path, int]]


class _Unreadable(Exception):
    """A file of the first pass over all that cannot be decoded."""


def load(
    root: Path,
    parts: tuple[Part, Part],
    labels: Sequence[str],
    size: tuple[int, int] | None,
    look: Callable[[Log], tuple[Mapping[Path, object], Reader]],
    log: Log,
) -> Dataset:
    """The `Dataset` of image files that stay on disk.

    All files are decoded once, for their digest, the statistics of their pixels, and to see which cannot be. What was seen is
    kept in the cache, and later starts look at sizes and times of the files alone.

    Args:
        root: their folder, for messages.
        parts: files to train and to test on.
        labels: names of the classes.
        size: (height, width) to scale to; None for images of one size.
        look: gives the files that can be opened, and what reads them; takes lines on what is left out.
        log: takes lines.

    Raises:
        DataError: there are no images to train or to test on.
    """
    paths = [path for part in parts for path, _ in part]
    log(f"{root}: {len(paths):,} image files stay on disk; the first start reads them all")
    # An empty folder of a class is in no path, and moves the numbers of the others.
    seen = scan.known(paths, ("folder", size, tuple(labels)), lambda: _first_look(root, parts, look))
    for line in seen["lines"]:
        log(line)
    reader = Reader(tuple(seen["shape"]), resize=size is not None)
    made = _without(root, parts, set(seen["left_out"]), reader)
    return stored("folder", made, len(labels), seen, f"from {root}", labels)


def check_parts(root: Path, parts: Sequence[Sized]) -> None:
    """Raise DataError unless there are images to train and to test on."""
    for name, images in zip(("train", "test"), parts, strict=True):
        if not len(images):
            raise DataError(f"--data_dir={root} has no images to {name} on: none in DIR/{name}/CLASS/, or too few in DIR/CLASS/")


def _first_look(root, parts, look) -> dict[str, Any]:
    lines: list[str] = []
    looks, reader = look(lines.append)
    paths = [path for part in parts for path, _ in part]
    # By place: the same files may be named otherwise by the next start, as from another folder.
    left_out = {index for index, path in enumerate(paths) if path not in looks}
    try:
        found = scan.scan(*_without(root, parts, left_out, reader))
    except _Unreadable:  # the digest begins with the number of images, so it is taken again without all such
        failed = {index for index, path in enumerate(paths) if index not in left_out and _fails(path, reader)}
        lines.append(f"WARNING: left out, as they cannot be decoded: {', '.join(str(paths[index]) for index in sorted(failed))}")
        left_out |= failed
        found = scan.scan(*_without(root, parts, left_out, reader))
    return {"lines": lines, "shape": reader.shape, "left_out": sorted(left_out), **found}


def _without(root, parts, left_out, reader):
    """Images and labels of the parts, but for those at some places."""
    places = itertools.count()
    kept = [[file for file in part if next(places) not in left_out] for part in parts]
    check_parts(root, kept)
    return [_stored(part, reader) for part in kept]


def _stored(part, reader):
    # The names of millions of files take less memory as texts than as paths.
    names = [str(path) for path, _ in part]

    def read(index):
        try:
            return reader.read(names[index])
        except PictureError as error:
            raise _Unreadable(f"{names[index]} {error}") from error

    return StoredImages(read, len(names), reader.shape), np.array([number for _, number in part], np.int32)


def _fails(path, reader):
    try:
        reader.read(path)
    except PictureError:
        return True
    return False
