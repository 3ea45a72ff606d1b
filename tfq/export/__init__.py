"""Files for other programs, each loaded again and compared with the Keras model before it gets its name.

export.save(model, "run/export", formats=("savedmodel", "tflite"), images=x_test[:256])
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tfq.compat import backend, require
from tfq.export import savedmodel, tflite
from tfq.export.verify import Agreement, ExportMismatch, check_images, compare
from tfq.quiet import quiet

__all__ = ["FORMATS", "Agreement", "ExportMismatch", "Report", "check", "save"]

# A format is a module with FILENAME, write(model, path) and load(path) -> function from images to logits.
FORMATS = {"savedmodel": savedmodel, "tflite": tflite}


@dataclass(frozen=True)
class Report:
    """One exported artifact: its size in bytes, and how it agrees with the model."""

    format: str
    path: Path
    bytes: int
    agreement: Agreement

    def __str__(self):
        return f"{self.format}: {self.path}, {self.bytes:,} bytes; {self.agreement}"


def check(formats):
    """Raise unless `formats` can be written by this process; costs nothing, so call it before the training.

    Args:
        formats: names of formats, keys of `FORMATS`.

    Raises:
        ValueError: an unknown format, or a backend other than TensorFlow.
        ImportError: TensorFlow is not installed.
    """
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"export format {name!r} is unknown; known are {', '.join(FORMATS)}")
    if formats and backend != "tensorflow":
        raise ValueError(f"export needs the tensorflow backend, this run uses {backend}")
    if formats:
        require("tensorflow")


def save(model, directory, formats=tuple(FORMATS), *, images):
    """Write `model` in each format, load each artifact again and compare its logits with the model's.

    An artifact gets its name only after that, replacing one of an earlier export; a failure leaves nothing behind.

    Args:
        model: built Keras model of one input and one output.
        directory: where to write; made if missing.
        formats: names of formats, keys of `FORMATS`.
        images: float32 batch of at least 16 real images, prepared as the model expects them.

    Returns:
        List of `Report`, one a format.

    Raises:
        ValueError, ImportError: as `check`; or the images do not fit the model.
        ExportMismatch: an artifact does not compute what the model computes.
    """
    check(formats)
    check_images(model, images)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    return [_save_one(model, directory, name, images) for name in formats]


def _save_one(model, directory, name, images):
    path = directory / FORMATS[name].FILENAME
    partial = directory / f".partial-{path.name}"
    _remove(partial)  # of an export that was killed
    try:
        with quiet():
            FORMATS[name].write(model, partial)
            predict = FORMATS[name].load(partial)
        agreement = compare(name, model, predict, images)
        _replace(partial, path)
    finally:
        _remove(partial)
    return Report(name, path, _size(path), agreement)


def _replace(source, target):
    if target.is_dir():  # which os.replace refuses to replace by another
        _remove(target)
    os.replace(source, target)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
