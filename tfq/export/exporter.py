"""Writes the files: each is loaded again and compared with the Keras model before it gets its name."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfq import walk
from tfq.compat import exact_products, plain_settings
from tfq.complexity.graph import has_graph
from tfq.export import accuracy, label_file, table
from tfq.export.accuracy import Accuracy
from tfq.export.errors import ExportError
from tfq.export.formats import FORMATS, check
from tfq.export.graph import check_graph
from tfq.export.layers import Unsupported
from tfq.export.sample import Sample
from tfq.export.verify import Agreement, ExportMismatch, check_images, compare
from tfq.quiet import quiet

# Enough to see whether pixels are prepared alike; the network behind is compared on all images.
_UINT8_IMAGES = 64


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
        # A model without weights has no bytes to compare with.
        share = f", {self.bytes / self.float32_bytes:.1%} of float32" if self.float32_bytes else ""
        text = f"{self.format}: {self.path}, {self.bytes:,} bytes{share}; {self.agreement}"
        return text if self.accuracy is None else f"{text}; {self.accuracy}"


@plain_settings()
def export_model(
    model_or_run,
    path,
    formats=("tfq",),
    images=None,
    pixel_mean=None,
    pixel_std=None,
    labels=(),
    targets=None,
    count=None,
    log=None,
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
        labels: names of the classes, put into each file (`tfq.export.label_file`). Default for a run: those of its data set.
        targets: the right class of each image, to report what a format that rounds costs. Default for a run: those of its images.
        count: test images of a run to compare on, where no images are given. Default: 256.
        log: takes each `Report` as soon as its file is written, such as `print`.

    Returns:
        List of `Report`, one a format.

    Raises:
        ExportError, ImportError: as `save`; or the run is none.
        Unsupported, ExportMismatch: as `save`.
    """
    check(formats, path)
    Sample(None, pixel_mean, pixel_std, labels)  # a slip is said before a run is read
    if images is not None and count is not None:
        raise ExportError(f"count is for the test images of a run; got count={count!r} with images")
    if isinstance(model_or_run, str | os.PathLike):
        from tfq.export import run

        path_of_run, own_images = Path(model_or_run), images is None
        _check_source(path_of_run, Path(path), formats)
        if own_images and targets is not None:
            raise ExportError("targets are the classes of images that are given; got targets alone")
        model, images, pixel_mean, pixel_std = run.read(path_of_run, images, pixel_mean, pixel_std, count)
        if own_images and images is not None:
            targets = run.test_labels(path_of_run, len(images))
        labels = labels or run.class_names(path_of_run)
    else:
        model = model_or_run
    if images is None:
        raise ExportError("export compares each file with the model on real images: give images=x_test[:256] or more")
    pixels = {"pixel_mean": pixel_mean, "pixel_std": pixel_std}
    return save(model, path, formats, images=images, **pixels, labels=labels, targets=targets, log=log)


@plain_settings()
def save(
    model,
    directory,
    formats=("savedmodel", "tflite"),
    *,
    images,
    pixel_mean=None,
    pixel_std=None,
    labels=(),
    targets=None,
    log=None,
):
    """Write `model` in each format, load each artifact again and compare its logits with the model's.

    An artifact gets its name only after that, replacing one of an earlier export; a format that fails leaves nothing behind, and
    those before it stay.

    Args:
        model: built Keras model of one input and one output.
        directory: where to write; made if missing.
        formats: names of formats, keys of `FORMATS`.
        images: batch of at least 16 real images: float32, prepared as the model expects them, or uint8 with pixel statistics.
        pixel_mean: per channel, of pixels scaled to [0, 1], if uint8 images are to be taken: (C,).
        pixel_std: likewise.
        labels: names of the classes, put into each file (`tfq.export.label_file`).
        targets: the right class of each image, integers (n,), if known.
        log: takes each `Report` as soon as its file is written.

    Returns:
        List of `Report`, one a format.

    Raises:
        ExportError, ImportError: as `check`; or images, pixel statistics, labels or targets do not fit the model or each other.
        Unsupported: the model, or a layer of it, has no form in a format.
        ExportMismatch: an artifact does not compute what the model computes.
    """
    check(formats, directory)
    check_graph(model)
    sample = Sample(None, pixel_mean, pixel_std, labels)
    if isinstance(images, np.ndarray):
        images = sample.prepared(images)
    check_images(model, images)
    sample.check(model)
    if targets is not None:
        targets = accuracy.check_targets(targets, images, model.outputs[0].shape[-1])
    sample = replace(sample, images=images)
    _check_precision(model, formats)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    return [_save_one(model, directory, name, sample, targets, log or _no_log) for name in formats]


def _check_source(source, directory, formats):
    """Raise where the model that is exported would be replaced by its export."""
    for path in (directory / FORMATS[name].FILENAME for name in formats):
        if source.is_file() and path.exists() and path.samefile(source):
            raise ExportError(f"{source} would be replaced by its own export: export to another directory")


def _check_precision(model, formats):
    """Raise where a layer computes in less than float32, which the formats for other programs do not have."""
    others = [name for name in formats if name != "keras"]
    for path, layer in walk.layers(model) if others else ():
        casts = getattr(layer, "autocast", getattr(layer, "_autocast", True))  # of Keras 3, of tf_keras
        if (
            layer.compute_dtype != "float32" and casts and not has_graph(layer)
        ):  # a nested model computes in nothing but its layers
            raise ExportError(
                f"export to {', '.join(others)} takes models that compute in float32; layer {path!r} computes in "
                f"{layer.compute_dtype}: build the model with dtype policy float32 and give it the same weights"
            )


def _no_log(report):
    """Takes a report, and tells nobody."""


@exact_products()
def _save_one(model, directory, name, sample, targets, log):
    module = FORMATS[name]
    path = directory / module.FILENAME
    partial = directory / f".partial-{path.name}"
    _remove(partial)  # of an export that was killed
    try:
        lossy = getattr(module, "LOSSY", None)
        with quiet(passing=(Unsupported, ImportError, ExportMismatch)):
            module.write(model, partial, sample)
            if sample.labels and not getattr(module, "HOLDS_LABELS", False):
                label_file.add(partial, sample.labels)
            predict = module.load(partial)
            agreement = compare(name, model, predict, sample.images, lossy=lossy)
            if sample.takes_uint8 and hasattr(module, "load_uint8"):
                _compare_uint8(name, model, module.load_uint8(partial), sample)
        cost = accuracy.measure(model, predict, sample.images, targets) if lossy and targets is not None else None
        _replace(partial, path)
    finally:
        _remove(partial)
    report = Report(name, path, _size(path), 4 * model.count_params(), agreement, cost)
    log(report)
    return report


def _compare_uint8(name, model, predict, sample):
    """Compare what the artifact makes of pixels with what the model makes of them when they are prepared."""
    pixels = sample.pixels(sample.images[:_UINT8_IMAGES])
    compare(f"{name} on uint8 images", model, lambda images: predict(sample.pixels(images)), sample.prepared(pixels))


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
