"""Files for other programs and for `tfq.runtime`, each loaded again and compared with the Keras model before it gets its name.

export.save(model, "run/export", formats=("tfq", "tflite"), images=x_test[:256])
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfq.compat import backend, require
from tfq.export import accuracy, keras_file, lce, packed, savedmodel, table, tflite, tflite_int8
from tfq.export.accuracy import Accuracy
from tfq.export.graph import check_graph
from tfq.export.layers import Unsupported
from tfq.export.sample import Sample
from tfq.export.verify import Agreement, ExportMismatch, check_images, compare
from tfq.quiet import quiet
from tfq.training.choices import ANY_BACKEND_EXPORTS

__all__ = ["FORMATS", "Agreement", "ExportMismatch", "Report", "Unsupported", "check", "export_model", "save"]

# A format is a module with FILENAME, write(model, path, sample), load(path) -> function from images to logits, and sizes(path) ->
# rows of `table.by_layer`; with LOSSY if its file rounds more than float32 does.
FORMATS = {
    "savedmodel": savedmodel,
    "keras": keras_file,
    "tflite": tflite,
    "tflite_int8": tflite_int8,
    "lce": lce,
    "tfq": packed,
}


@dataclass(frozen=True)
class Report:
    """One exported artifact: its size in bytes, that of the model's weights in float32, and how it agrees with the model.

    `accuracy` says what a format that rounds costs, where the right classes of the images are known.
    """

    format: str
    path: Path
    bytes: int
    float32_bytes: int
    agreement: Agreement
    accuracy: Accuracy | None = None

    def by_layer(self):
        """Table of the bytes of each layer, against float32."""
        return table.by_layer(FORMATS[self.format].sizes(self.path))

    def __str__(self):
        share = self.bytes / max(1, self.float32_bytes)  # a model without weights has no bytes
        text = f"{self.format}: {self.path}, {self.bytes:,} bytes, {share:.1%} of float32; {self.agreement}"
        return text if self.accuracy is None else f"{text}; {self.accuracy}"


def check(formats):
    """Raise unless `formats` can be written by this process; costs nothing, so call it before the training.

    Args:
        formats: names of formats, keys of `FORMATS`.

    Raises:
        ValueError: an unknown format, or one that needs a backend other than the one in use.
        ImportError: TensorFlow is not installed.
    """
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"export format {name!r} is unknown; known are {', '.join(FORMATS)}")
    of_tensorflow = [name for name in formats if name not in ANY_BACKEND_EXPORTS]
    if of_tensorflow and backend != "tensorflow":
        raise ValueError(f"export to {', '.join(of_tensorflow)} needs the tensorflow backend, this run uses {backend}")
    if of_tensorflow:
        require("tensorflow")


def export_model(
    model_or_run, path, formats=("tfq",), images=None, pixel_mean=None, pixel_std=None, labels=(), targets=None, count=None
):
    """Export a model, or the best checkpoint of a run, to one or more formats.

    Args:
        model_or_run: a built Keras model; or the directory of a run, or a `.keras` file, of which neither `models` nor `train` is
            imported.
        path: directory to write to; made if missing.
        formats: names of formats, keys of `FORMATS`.
        images: batch of at least 16 real images to compare on: float32 as the model expects them, or uint8 where the pixel
            statistics are known. Default for a run: test images of its data set.
        pixel_mean: per channel, of pixels scaled to [0, 1], to make a SavedModel and a `.tfq` file take uint8 images too.
            Default for a run: its own.
        pixel_std: likewise.
        labels: names of the classes, kept in a `.tfq` file.
        targets: the right class of each image, to report what a format that rounds costs. Default for a run: those of its images.
        count: test images of a run to compare on, where no images are given. Default: 256.

    Returns:
        List of `Report`, one a format.

    Raises:
        ValueError, ImportError: as `save`; or the run is none.
        Unsupported, ExportMismatch: as `save`.
    """
    check(formats)
    if isinstance(model_or_run, str | os.PathLike):
        from tfq.export import run

        path_of_run, own_images = Path(model_or_run), images is None
        model, images, pixel_mean, pixel_std = run.read(path_of_run, images, pixel_mean, pixel_std, count)
        if own_images and images is not None:
            targets = run.test_labels(path_of_run, len(images))
    else:
        model = model_or_run
    if images is None:
        raise ValueError("export compares each file with the model on real images: give images=x_test[:256] or more")
    return save(model, path, formats, images=images, pixel_mean=pixel_mean, pixel_std=pixel_std, labels=labels, targets=targets)


def save(model, directory, formats=("savedmodel", "tflite"), *, images, pixel_mean=None, pixel_std=None, labels=(), targets=None):
    """Write `model` in each format, load each artifact again and compare its logits with the model's.

    An artifact gets its name only after that, replacing one of an earlier export; a failure leaves nothing behind.

    Args:
        model: built Keras model of one input and one output.
        directory: where to write; made if missing.
        formats: names of formats, keys of `FORMATS`.
        images: batch of at least 16 real images: float32, prepared as the model expects them, or uint8 with pixel statistics.
        pixel_mean: per channel, of pixels scaled to [0, 1], if uint8 images are to be taken: (C,).
        pixel_std: likewise.
        labels: names of the classes.
        targets: the right class of each image, integers (n,), if known.

    Returns:
        List of `Report`, one a format.

    Raises:
        ValueError, ImportError: as `check`; or the images do not fit the model, or the targets the images; or something that no
            export made stands in the place of a file.
        Unsupported: the model, or a layer of it, has no form in a format.
        ExportMismatch: an artifact does not compute what the model computes.
    """
    check(formats)
    check_graph(model)
    sample = Sample(None, pixel_mean, pixel_std, tuple(labels))
    if isinstance(images, np.ndarray):
        images = sample.prepared(images)
    check_images(model, images)
    if targets is not None:
        targets = accuracy.check_targets(targets, images)
    sample = Sample(images, pixel_mean, pixel_std, tuple(labels))
    directory = Path(directory)
    _check_targets_on_disk(directory, formats)
    directory.mkdir(parents=True, exist_ok=True)
    return [_save_one(model, directory, name, sample, targets) for name in formats]


def _save_one(model, directory, name, sample, targets):
    module = FORMATS[name]
    path = directory / module.FILENAME
    partial = directory / f".partial-{path.name}"
    _remove(partial)  # of an export that was killed
    try:
        lossy = getattr(module, "LOSSY", None)
        with quiet(passing=(Unsupported, ImportError, ExportMismatch)):
            module.write(model, partial, sample)
            predict = module.load(partial)
            agreement = compare(name, model, predict, sample.images, lossy=lossy)
        cost = accuracy.measure(model, predict, sample.images, targets) if lossy and targets is not None else None
        _replace(partial, path)
    finally:
        _remove(partial)
    return Report(name, path, _size(path), 4 * model.count_params(), agreement, cost)


def _check_targets_on_disk(directory, formats):
    """Raise, before any work, where something that no export made would have to give way."""
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"exports go into a directory; {directory} is a file")
    for path in (directory / FORMATS[name].FILENAME for name in formats):
        if path.is_dir() and any(path.iterdir()) and not (path / "saved_model.pb").exists():
            raise ValueError(f"{path} is a directory that no export made: move it, or export to another directory")


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
