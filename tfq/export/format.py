"""What an export format is. Imports neither Keras nor NumPy: which formats there are is known before a backend is chosen."""

from __future__ import annotations

import contextlib
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tfq.export.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from tfq.export.sample import Sample

# From a batch of images to logits.
Predict: TypeAlias = "Callable[[np.ndarray], np.ndarray]"


class Lossy(NamedTuple):
    """What a format that rounds more than float32 does may cost.

    `least_top1` is the smallest share of images with the same top-1 class, less two standard errors of it; `most_difference` the
    largest change of the logits, over the largest logit, in the median of the images.
    """

    least_top1: float
    most_difference: float


class Format:
    """One format of exported files. A subclass has the attributes below, and at least `save` and `load`.

    What else a subclass needs has a name that begins with an underscore: any other that is not here is a slip, and an error.
    Modules that import Keras are imported within the methods. `tfq.testing.check_format` tests whether all is as it must be.

    Attributes:
        name: what `formats=` and `--export` call it.
        filename: of its file, or directory, in a directory of exports.
        marker: of a format that writes a directory, a file in each of them, by which an export knows one that it may replace;
            None for a format that writes a file.
        needs: packages that it needs, by the names that they are imported by.
        backends: Keras' backends that it can be written on; None for all.
        lossy: `Lossy` if it rounds more than float32 does; else None.
        holds_labels: whether `save` stores the names of the classes, `sample.labels`; else they are added to the artifact, behind
            the end of a file as a small zip file, which `load` must stand (`tfq.export.label_file`).
        float32_only: whether it refuses models with layers that compute in less than float32.
        takes_tfmot: whether it takes models of tfmot's wrappers, which can be traced, but not taken apart.
        signs_only: whether it refuses quantized kernels and inputs that are no signs (XNOR-Net).
    """

    name: str = ""
    filename: str = ""
    marker: str | None = None
    needs: tuple[str, ...] = ()
    backends: tuple[str, ...] | None = None
    lossy: Lossy | None = None
    holds_labels: bool = False
    float32_only: bool = True
    takes_tfmot: bool = False
    signs_only: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in vars(cls).items():
            if name.startswith("_"):
                continue
            if name not in _PUBLIC:
                near = difflib.get_close_matches(name, _PUBLIC, 1)
                meant = f"did you mean {near[0]!r}?" if near else "names of its own begin with _"
                raise TypeError(f"{cls.__name__}.{name} is no attribute of an export format: {meant}")
            if name in _TYPES and not _is_a(value, _TYPES[name]):
                raise TypeError(f"{cls.__name__}.{name} must be {_TYPES[name][0]}; got {value!r}")

    def save(self, model: Any, path: Path, sample: Sample) -> None:
        """Write a model to `path`, and to no other place.

        Args:
            model: built Keras model of one input and one output.
            path: file, or directory, that is not there yet; ends as `filename` does.
            sample: real images, pixel statistics, names of the classes.

        Raises:
            Unsupported: the format has no form for a layer, or an option of one; the message names it.
        """
        raise NotImplementedError

    def load(self, path: Path) -> Predict:
        """The function from a batch of images, float32 and of any number, to logits that an artifact computes.

        Raises:
            ValueError: there is none at `path`, or it is damaged; one line.
        """
        raise NotImplementedError

    def load_uint8(self, path: Path) -> Predict:
        """Likewise from uint8 images, of an artifact that was written with pixel statistics."""
        raise NotImplementedError

    def other_runtimes(self, path: Path) -> dict[str, Predict]:
        """What further runtimes compute of an artifact, by their names, if they are installed: it must be what `load`'s does."""
        return {}

    def check(self, model: Any) -> Any:
        """Raise Unsupported for what can be seen of a model before anything is written; the message names every such layer."""

    def in_float(self, model: Any) -> tuple[str, ...]:
        """Names of the low-bit layers whose kernels it holds, or computes with, in float32."""
        return ()

    def sizes(self, path: Path) -> list[tuple[str, str, int, int]]:
        """(name, kind, bytes, bytes in float32) of whatever holds weights in an artifact; nothing where that is not known."""
        return []

    @property
    def takes_uint8(self) -> bool:
        """Whether its artifacts take uint8 images too, if they are written with pixel statistics."""
        return type(self).load_uint8 is not Format.load_uint8

    def is_own(self, path: Path) -> bool:
        """Whether what stands at `path` is such as this format writes, and may give way to a new one."""
        return path.is_file() if self.marker is None else (path / self.marker).is_file()


# `vars` of the class, whose annotations stand beside its attributes.
_PUBLIC = tuple(name for name in vars(Format) if not name.startswith("_"))
_TYPES: dict[str, tuple[str, type, bool]] = {
    "name": ("a text", str, False),
    "filename": ("a text", str, False),
    "marker": ("the name of a file, or None", str, True),
    "needs": ("a tuple of names of packages", tuple, False),
    "backends": ("a tuple of names of backends, or None", tuple, True),
    "lossy": ("a Lossy(least_top1, most_difference), or None", Lossy, True),
    **dict.fromkeys(("holds_labels", "float32_only", "takes_tfmot", "signs_only"), ("True or False", bool, False)),
}


def _is_a(value: Any, allowed: tuple[str, type, bool]) -> bool:
    _, kind, may_be_none = allowed
    return isinstance(value, kind) or (may_be_none and value is None)


@contextlib.contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Says in one line, an ExportError, that a file cannot be read: a damaged one makes packages raise almost anything."""
    if not Path(path).exists():
        raise ExportError(f"there is no {what} at {path}")
    try:
        yield
    except (ImportError, ExportError):
        raise
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExportError(f"{path} is no {what} that can be read: {reason}") from error
