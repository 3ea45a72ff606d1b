"""What is known of images on disk once all of them were read: it is kept, and later starts look at sizes and times alone."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tfq import files
from tfq.data import cache
from tfq.data.digest import digest
from tfq.data.stored import StoredImages


def known(paths: Iterable[Path], options: object, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `compute` gave for these files before, or gives now; kept in the cache, under name, size and time of each file.

    Args:
        paths: the files.
        options: what it depends on beside them.
        compute: the function that reads them, and gives what JSON holds.
    """
    name = hashlib.blake2b(repr(options).encode(), digest_size=16)
    for path in paths:
        found = path.stat()
        name.update(f"{os.fspath(path.resolve())!r} {found.st_size} {found.st_mtime_ns}\n".encode())
    file = cache.folder() / "scanned" / f"{name.hexdigest()}.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    made = compute()
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(file, json.dumps(made) + "\n")
    return made


def scan(train: tuple[StoredImages, np.ndarray], test: tuple[StoredImages, np.ndarray]) -> dict[str, Any]:
    """Read all images and labels once.

    Returns:
        `digest`, as of the same arrays in memory, and `counts` of the values of the training pixels,
        (C, 256).
    """
    (images, labels), others = train, test
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), np.int64)

    def look(number, part):
        if number == 0:
            counts[:] += [np.bincount(part[..., channel].ravel(), minlength=256) for channel in range(channels)]

    return {"digest": digest(images, labels, *others, look=look), "counts": counts.tolist()}
