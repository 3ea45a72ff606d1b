"""The contract of an export format: what `tfq.export_model` relies on, tried on a small model."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfq import export
from tfq.backend.keras import keras
from tfq.backend.keras import ops as keras_ops
from tfq.backend.settings import plain_settings
from tfq.export.format import Format
from tfq.export.formats import FORMATS
from tfq.export.sample import Sample
from tfq.layers import BatchNormalization, QuantConv2D
from tfq.quantizers import XnorInputs, XnorWeights
from tfq.quiet import quiet
from tfq.testing.errors import ContractError

_CLASSES = 4
# Of real pixels, to the last bit of float32.
_STATISTICS: dict[str, Any] = {"pixel_mean": [0.5, 0.25, 0.5], "pixel_std": [0.25, 0.5, 0.25]}


@plain_settings()
def check_format(format: Format | type[Format], model: Any = None) -> None:
    """Raise ContractError unless an export format keeps its contract; it need not be registered.

    A model is saved, loaded again and compared, in batches of one and of many, with names of the classes and, where the format
    takes them, uint8 images; the model stays as it is. Each artifact replaces the one before and touches nothing else. A save
    that is interrupted leaves the earlier artifact as it was, and so does one of a wrong model, which is found. A damaged file is
    refused in one line, and so is a directory of which one file was cut off, unless that file is of no use.

    Args:
        format: an instance of a subclass of `tfq.export.Format`; the class itself, where it takes no arguments.
        model: built Keras model of images (None, H, W, 3) to four classes, with a head `model.layers[-1]` that has a kernel; by
            default one with a binary convolution.

    Raises:
        ContractError: see there.
        ImportError: a package that the format needs is not installed.
    """
    format = format() if isinstance(format, type) else format
    model = small_model() if model is None else model
    shape = (32, *model.inputs[0].shape[1:])
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with _registered(format), tempfile.TemporaryDirectory() as folder:
        trial = _Trial(format, model, images, Path(folder))
        trial.saves_what_the_model_computes()
        trial.replaces_its_own_and_nothing_else()
        trial.survives_an_interruption()
        trial.refuses_a_wrong_model()
        trial.leaves_a_directory_of_others()
        trial.refuses_a_directory_with_half_a_file()
        trial.refuses_a_damaged_file()


def small_model() -> Any:
    """A model with a convolution in float, a binary one and a head, for images (8, 8, 3)."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    y = BatchNormalization()(keras.layers.Conv2D(32, 3, strides=2, name="first")(x))
    y = QuantConv2D(32, 3, input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights(), name="binary")(y)
    y = keras.layers.GlobalAveragePooling2D()(BatchNormalization()(y))
    return keras.Model(x, keras.layers.Dense(_CLASSES, name="head")(y))


class _Trial:
    def __init__(self, format: Format, model: Any, images: np.ndarray, folder: Path) -> None:
        self.format, self.model, self.images, self.folder = format, model, images, folder
        self.path = folder / format.filename

    def export(self) -> Any:
        """Export by the public function; returns the report."""
        labels = tuple(f"class {number}" for number in range(_CLASSES))
        (report,) = export.save(
            self.model, self.folder, [self.format.name], images=self.images, labels=labels, **_STATISTICS, log=None
        )
        return report

    def saves_what_the_model_computes(self) -> None:
        before = [weight.copy() for weight in self.model.get_weights()], _predict(self.model, self.images)
        try:
            report = self.export()
        except (ImportError, export.Unsupported):
            raise
        except Exception as error:
            raise ContractError(f"{self.format.name}: the model cannot be exported: {error}") from error
        is_same = all(map(np.array_equal, before[0], self.model.get_weights()))
        is_same = is_same and np.array_equal(before[1], _predict(self.model, self.images))
        _expect(is_same, f"{self.format.name}: `save` changes the model")
        _expect(self.format.is_own(report.path), f"{self.format.name}: it does not know its own artifact, `is_own`")
        _expect(
            [self.path] == [*self.folder.iterdir()], f"{self.format.name}: it left {_names(self.folder)}, beside its artifact"
        )
        _expect(isinstance(report.by_layer(), str), f"{self.format.name}: `sizes` gives no rows")

    def replaces_its_own_and_nothing_else(self) -> None:
        other = self.folder / "other.txt"
        other.write_text("of the user")
        if self.format.marker is not None:
            (self.path / "stale").touch()
        self.export()
        _expect(other.read_text() == "of the user", f"{self.format.name}: it changed a file of others")
        _expect(not (self.path / "stale").exists(), f"{self.format.name}: files of the earlier export are left in the new one")
        other.unlink()

    def survives_an_interruption(self) -> None:
        def interrupted(model: Any, path: Path, sample: Sample) -> None:
            if self.format.marker is not None:
                path.mkdir()
            (path if self.format.marker is None else path / self.format.marker).write_bytes(b"half of it")
            raise KeyboardInterrupt

        self._leaves_the_earlier_one(interrupted, KeyboardInterrupt, "an interrupted `save`")

    def refuses_a_wrong_model(self) -> None:
        def wrong(model: Any, path: Path, sample: Sample) -> None:
            head = model.layers[-1]
            before = head.get_weights()
            try:
                head.set_weights([np.roll(before[0], 1, axis=-1), *before[1:]])
                right(model, path, sample)
            finally:
                head.set_weights(before)

        right = self.format.save
        self._leaves_the_earlier_one(wrong, export.ExportMismatch, "an artifact of other weights")

    def _leaves_the_earlier_one(self, save: Callable[..., None], error: type[BaseException], what: str) -> None:
        before = _content(self.folder)
        with _instead(self.format, "save", save):
            try:
                self.export()
            except error as found:
                _expect(len(str(found).splitlines()) <= 1, f"{self.format.name}: of {what} it says more than a line: {found}")
            else:
                raise ContractError(f"{self.format.name}: {what} is taken for a good one")
        _expect(_content(self.folder) == before, f"{self.format.name}: {what} does not leave the earlier one as it was")

    def leaves_a_directory_of_others(self) -> None:
        kept = self.folder / "kept"
        shutil.move(self.path, kept)
        self.path.mkdir()
        (self.path / "precious").touch()
        try:
            self.export()
        except export.ExportError:
            pass
        else:
            raise ContractError(f"{self.format.name}: it replaces a directory that no export made")
        _expect((self.path / "precious").exists(), f"{self.format.name}: it removes a directory that no export made")
        shutil.rmtree(self.path)
        shutil.move(kept, self.path)

    def refuses_a_directory_with_half_a_file(self) -> None:
        if self.format.marker is None:
            return
        images = self.images[:2].astype("float32")
        expected = self.format.load(self.path)(images)
        for file in sorted(file for file in self.path.rglob("*") if file.is_file()):
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2])
            found = self._of_damaged(images, f"where {file.relative_to(self.path)} is cut off")
            same = found is None or np.array_equal(found, expected)
            _expect(same, f"{self.format.name}: {file.relative_to(self.path)} is cut off, and it is loaded without a word")
            file.write_bytes(content)

    def refuses_a_damaged_file(self) -> None:
        damaged = self.path if self.format.marker is None else self.path / self.format.marker
        content = damaged.read_bytes()
        for rest, what in (
            (content[: len(content) // 2], "a file that is cut off"),
            (b"\x03nothing of the kind" * 40, "another file"),
        ):
            damaged.write_bytes(rest)
            found = self._of_damaged(np.zeros((1, *self.images.shape[1:]), "float32"), f"at {what}")
            _expect(found is None, f"{self.format.name}: {what} is loaded without a word")

    def _of_damaged(self, images: np.ndarray, where: str) -> np.ndarray | None:
        """What a damaged artifact computes; None where it is refused as it must be."""
        try:
            with quiet(passing=(ValueError,)):
                return self.format.load(self.path)(images)
        except ValueError as error:
            _expect(len(str(error).splitlines()) == 1, f"{self.format.name}: {where} it says more than a line: {error}")
            return None
        except Exception as error:
            came = f"{type(error).__name__}: {error}"
            raise ContractError(
                f"{self.format.name}: {where} `load` must raise a ValueError of one line (see tfq.export.reading); got {came}"
            ) from error


def _predict(model: Any, images: np.ndarray) -> np.ndarray:
    return keras_ops.convert_to_numpy(model(images[:2].astype("float32"), training=False))


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise ContractError(message)


def _names(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir()))


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextlib.contextmanager
def _instead(format: Format, name: str, value: Any) -> Iterator[None]:
    """As long as the context lasts, the format has another method of that name."""
    setattr(format, name, value)
    try:
        yield
    finally:
        delattr(format, name)


@contextlib.contextmanager
def _registered(format: Format) -> Iterator[None]:
    """As long as the context lasts, the format is in the table."""
    before = dict(FORMATS)
    try:
        if FORMATS.get(format.name) is not format:
            export.register_format(format)
        yield
    finally:
        FORMATS.clear()
        FORMATS.update(before)
