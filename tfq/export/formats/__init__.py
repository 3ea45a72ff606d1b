"""The export formats. Imports neither Keras nor NumPy: the flags of a program can be checked before a backend is chosen."""

from collections.abc import Iterable
from pathlib import PurePath

from tfq.export.format import Format
from tfq.export.formats.c import CSource
from tfq.export.formats.keras_file import KerasFile
from tfq.export.formats.lce import LarqComputeEngine
from tfq.export.formats.onnx import Onnx, Qonnx
from tfq.export.formats.packed import Packed
from tfq.export.formats.savedmodel import SavedModel
from tfq.export.formats.tflite import TFLite
from tfq.export.formats.tflite_int8 import TFLiteInt8

# By name; `register_format` adds to them.
FORMATS: dict[str, Format] = {}


def register_format(format: Format | type[Format]) -> Format | type[Format]:
    """Let `export_model`, and what stands on it, write another format.

        @tfq.export.register_format
        class Mine(Format):
            ...

    One of the same name gives way only to a new version of its own class, as when the cell of a notebook runs again.

    Args:
        format: a subclass of `Format` that is made without arguments; or an instance of one.

    Returns:
        What was given.

    Raises:
        TypeError: it is none of both.
        ValueError: its name or its filename is none, or taken; or `save` or `load` is missing.
    """
    if isinstance(format, type) and issubclass(format, Format):
        register_format(format())
        return format
    if not isinstance(format, Format):
        raise TypeError(f"an export format is a subclass of tfq.export.Format, or an instance of one; got {format!r}")
    _check(format)
    for other in FORMATS.values():
        is_older = type(other).__module__ == type(format).__module__ and type(other).__qualname__ == type(format).__qualname__
        if other.name == format.name and not is_older:
            raise ValueError(f"there is an export format {format.name!r} already, {type(other).__qualname__}")
        if other.name != format.name and other.filename.lower() == format.filename.lower():
            raise ValueError(f"export format {format.name!r} would write {format.filename}, as {other.name!r} does")
    FORMATS[format.name] = format
    return format


def _check(format: Format) -> None:
    kind = type(format).__qualname__
    if not format.name.isidentifier():
        raise ValueError(f"{kind}.name must be letters, digits and _; got {format.name!r}")
    for name, value in (("filename", format.filename), ("marker", format.marker)):
        if value is not None and (not value or PurePath(value).name != value):
            raise ValueError(f"{kind}.{name} must be the name of a file, without a folder; got {value!r}")
    for name in ("save", "load"):
        if getattr(type(format), name) is getattr(Format, name):
            raise ValueError(f"{kind} has no {name}")


def unfit(formats: Iterable[str], backend: str) -> dict[tuple[str, ...], list[str]]:
    """Names of the formats that cannot be written on one of Keras' backends, by the backends that they need."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name in formats:
        needed = FORMATS[name].backends
        if needed is not None and backend not in needed:
            found.setdefault(needed, []).append(name)
    return found


for _format in (SavedModel(), KerasFile(), TFLite(), TFLiteInt8(), LarqComputeEngine(), Onnx(), Qonnx(), Packed(), CSource()):
    register_format(_format)
