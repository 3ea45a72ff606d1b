"""Writes the files: each is loaded again and compared with the Keras model before it gets its name."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfq.backend.keras import keras
from tfq.backend.rounding import exact_products
from tfq.backend.settings import plain_settings
from tfq.convert.from_keras import check_graph
from tfq.convert.layers import Unsupported
from tfq.export import accuracy, label_file, pixels, table
from tfq.export.accuracy import Accuracy
from tfq.export.checks import check, check_precision, paths
from tfq.export.errors import ExportError
from tfq.export.format import Format
from tfq.export.formats import FORMATS
from tfq.export.sample import Sample, Statistics
from tfq.export.verify import Agreement, ExportMismatch, check_images, compare, compare_runtimes, keras_logits
from tfq.files import PathLike
from tfq.quiet import quiet
from tfq.terminal import Log

# Enough to see whether pixels are prepared alike; the network behind is compared on all images.
_UINT8_IMAGES = 64


@dataclass(frozen=True)
class Report:
    """One exported artifact: its size in bytes, that of the model's weights in float32, and how it agrees with the model.

    `accuracy` says what a format that rounds costs, where the right classes of the images are known. `in_float` are the low-bit
    layers whose kernels it holds, or computes with, in float32; `notes` what else there is to say, a sentence each.
    """

    format: str
    path: Path
    bytes: int
    float32_bytes: int
    agreement: Agreement
    accuracy: Accuracy | None = None
    in_float: tuple[str, ...] = ()
    notes: tuple = ()

    def by_layer(self) -> str:
        """Table of the bytes of each layer, against float32."""
        rows = FORMATS[self.format].sizes(self.path)
        return table.by_layer(rows) if rows else f"{self.format} does not say the bytes of each layer"

    def __str__(self):
        # A model without weights has no bytes to compare with.
        share = f", {self.bytes / self.float32_bytes:.1%} of float32" if self.float32_bytes else ""
        text = f"{self.format}: {self.path}, {self.bytes:,} bytes{share}; {self.agreement}"
        more = [] if self.accuracy is None else [str(self.accuracy)]
        if self.in_float:
            more.append(f"low-bit layers that stay in float: {', '.join(self.in_float)}")
        return "; ".join([text, *more, *self.notes])


@plain_settings()
def export_model(
    model_or_run: keras.Model | PathLike,
    path: PathLike,
    formats: Sequence[str] = ("tfq",),
    images: np.ndarray | None = None,
    pixel_mean: Statistics | None = None,
    pixel_std: Statistics | None = None,
    labels: Sequence[str] = (),
    targets: Sequence[int] | np.ndarray | None = None,
    count: int | None = None,
    log: Log | None = None,
) -> list[Report]:
    """Export a model, or the best checkpoint of a run, to one or more formats.

    Args:
        model_or_run: a built Keras model; or the directory of a run, or a `.keras` file, of which neither `models` nor `train` is
            imported.
        path: directory to write to, made if missing; or the file, of one format and with its ending, such as "model.tfq".
        formats: names of formats, keys of `FORMATS`.
        images: batch of at least 16 real images to compare on: float32 as the model expects them, or uint8 where the pixel
            statistics are known. Default for a run: test images of its data set.
        pixel_mean: per channel, of pixels scaled to [0, 1], to make a SavedModel and a `.tfq` file take uint8 images too.
            Default for a run: its own. Of a model that prepares pixels from 0 to 255 itself, by a `Rescaling` or
            `Normalization` in front, they are 0 and 1/255.
        pixel_std: likewise.
        labels: names of the classes, put into each file (`tfq.export.label_file`). Default for a run: those of its data set.
        targets: the right class of each image, to report what a format that rounds costs. Default for a run: those of its images.
        count: test images of a run to compare on, where no images are given. Default: 256.
        log: takes each `Report` as soon as its file is written, such as `print`.

    Returns:
        List of `Report`, one a format.

    Raises:
        ExportError, ImportError: as `save`; the run is none; or statistics would prepare pixels that the model prepares itself.
        Unsupported, ExportMismatch: as `save`.
    """
    check(formats, path)
    Sample(None, pixel_mean, pixel_std, labels)  # a slip is said before a run is read
    if images is not None and count is not None:
        raise ExportError(f"count is for the test images of a run; got count={count!r} with images")
    if isinstance(model_or_run, str | os.PathLike):
        from tfq.export import run

        path_of_run, own_images = Path(model_or_run), images is None
        _check_source(path_of_run, path, formats)
        is_given = pixel_mean is not None
        if own_images and targets is not None:
            raise ExportError("targets are the classes of images that are given; got targets alone")
        model, images, pixel_mean, pixel_std = run.read(path_of_run, images, pixel_mean, pixel_std, count)
        if own_images and images is not None:
            targets = run.test_labels(path_of_run, len(images))
        labels = labels or run.class_names(path_of_run)
    else:
        model, is_given = model_or_run, True
    if is_given:
        pixels.check_once(model, pixel_mean, pixel_std)
    if images is None:
        raise ExportError("export compares each file with the model on real images: give images=x_test[:256] or more")
    statistics = {"pixel_mean": pixel_mean, "pixel_std": pixel_std}
    return save(model, path, formats, images=images, **statistics, labels=labels, targets=targets, log=log)


@plain_settings()
def save(
    model: keras.Model,
    directory: PathLike,
    formats: Sequence[str] = ("savedmodel", "tflite"),
    *,
    images: np.ndarray,
    pixel_mean: Statistics | None = None,
    pixel_std: Statistics | None = None,
    labels: Sequence[str] = (),
    targets: Sequence[int] | np.ndarray | None = None,
    log: Log | None = None,
) -> list[Report]:
    """Write `model` in each format, load each artifact again and compare its logits with the model's.

    An artifact gets its name only after that, replacing one of an earlier export; a format that fails leaves nothing behind, and
    those before it stay.

    Args:
        model: built Keras model of one input and one output.
        directory: where to write, made if missing; or the file, as in `export_model`.
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
    own = None if sample.takes_uint8 else pixels.own_preparation(model)
    given = images
    if isinstance(images, np.ndarray):
        is_raw = own is not None and images.dtype == np.uint8
        images = images.astype(np.float32) if is_raw else sample.prepared(images)
    check_images(model, images)
    sample.check(model)
    if targets is not None:
        targets = accuracy.check_targets(targets, images, model.outputs[0].shape[-1])
    check_precision(model, formats)
    with exact_products():
        job = _Job(model, replace(sample, images=images), targets, keras_logits(model, images), own)
        notes = _doubts(job, given)
    places = paths(directory, formats)
    places[0].parent.mkdir(parents=True, exist_ok=True)
    return [_save_one(job, FORMATS[name], path, notes, log or _no_log) for name, path in zip(formats, places, strict=True)]


@dataclass(frozen=True)
class _Job:
    """What all formats share: model, images and classes to compare on, its logits there, the layer that prepares its pixels."""

    model: keras.Model
    sample: Sample
    targets: np.ndarray | None
    expected: np.ndarray
    own_preparation: keras.layers.Layer | None


def _doubts(job, given):
    """What to say where the model does not see what it was trained on."""
    if job.targets is None or job.expected.ndim != 2:
        return ()
    text = accuracy.doubt(job.expected, job.targets)
    if text and given.dtype == np.uint8:
        raw = accuracy.top1(keras_logits(job.model, given.astype(np.float32)), job.targets)
        text += f" On their pixels from 0 to 255 it is right on {raw:.1%}"
    return (text,) if text else ()


def _check_source(source, directory, formats):
    """Raise where the model that is exported would be replaced by its export."""
    for path in paths(directory, formats):
        if source.is_file() and path.exists() and path.samefile(source):
            raise ExportError(f"{source} would be replaced by its own export: export to another directory")


def _no_log(report):
    """Takes a report, and tells nobody."""


@exact_products()
def _save_one(job, format: Format, path, notes, log):
    model, sample = job.model, job.sample
    partial = path.parent / f".partial-{path.name}"
    _remove(partial)  # of an export that was killed
    try:
        with quiet(passing=(Unsupported, ImportError, ExportError, ExportMismatch)):
            _write(format, model, partial, sample)
            predict = format.load(partial)
            agreement = compare(format.name, model, predict, sample.images, lossy=format.lossy, expected=job.expected)
            notes = (*_compare_runtimes(job, format, partial, predict), *notes)
            if sample.takes_uint8 and format.takes_uint8:
                _compare_uint8(format, model, format.load_uint8(partial), sample)
        is_rounded = format.lossy and job.targets is not None
        cost = accuracy.measure(job.expected, predict, sample.images, job.targets) if is_rounded else None
        _replace(partial, path)
    finally:
        _remove(partial)
    if job.own_preparation is not None and format.takes_uint8:
        notes = (
            f"takes float32 images from 0 to 255, which layer {job.own_preparation.name!r} prepares; with pixel_mean 0 and "
            "pixel_std 1/255 it would take uint8 ones too",
            *notes,
        )
    size, in_float = _size(path), tuple(format.in_float(model))
    report = Report(format.name, path, size, 4 * model.count_params(), agreement, cost, in_float, notes)
    log(report)
    return report


def _write(format, model, path, sample):
    format.save(model, path, sample)
    if not format.is_own(path):
        wanted = "no file" if format.marker is None else f"no directory with {format.marker} in it"
        raise ExportError(f"export format {format.name!r} wrote {wanted} where it was to")
    if sample.labels and not format.holds_labels:
        label_file.add(path, sample.labels)


def _compare_runtimes(job, format, path, predict):
    """A sentence of each further runtime that is installed; raises where one does not compute what `predict` does."""
    return [
        compare_runtimes(f"{format.name} in {runtime}", job.model, other, predict, job.sample.images, format.lossy, job.expected)
        for runtime, other in format.other_runtimes(path).items()
    ]


def _compare_uint8(format, model, predict, sample):
    """Compare what the artifact makes of pixels with what the model makes of them when they are prepared."""
    pixels = sample.pixels(sample.images[:_UINT8_IMAGES])
    name, prepared = f"{format.name} on uint8 images", sample.prepared(pixels)
    compare(name, model, lambda images: predict(sample.pixels(images)), prepared, lossy=format.lossy)


def _replace(source, target):
    """Put `source` in the place of `target`, which stays until then."""
    if not target.is_dir():
        os.replace(source, target)
        return
    # No directory replaces another one that is not empty.
    old = target.with_name(f".replaced-{target.name}")
    _remove(old)
    os.replace(target, old)
    try:
        os.replace(source, target)
    except OSError:
        os.replace(old, target)
        raise
    _remove(old)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
