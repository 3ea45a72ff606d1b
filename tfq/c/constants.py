"""Arrays and numbers of a network as C text."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfq.c.registry import NoC

_TYPES = {"f4": "float", "i4": "int32_t", "u4": "uint32_t", "i2": "int16_t", "u2": "uint16_t", "i1": "int8_t", "u1": "uint8_t"}
_COLUMNS = 118
# C has no portable constant for infinity without <math.h>; no float but infinity is above it.
_LARGEST = float(np.finfo(np.float32).max)


class Text(NamedTuple):
    """C text that stands in a call, or an initializer, as it is."""

    text: str


NULL = Text("NULL")


class Constants:
    """Collects the arrays of a network: the same content is written once.

    Args:
        prefix: of all names.

    Attributes:
        bytes: so far.
        definitions: C text of each array and structure, in order.
    """

    def __init__(self, prefix: str) -> None:
        self.bytes = 0
        self.definitions: list[str] = []
        self._prefix = prefix
        self._known: dict[tuple, Text] = {}

    def array(self, values: np.ndarray | Sequence | None, dtype: str) -> Text:
        """The name of an array of this type, such as "f4"; NULL for None."""
        if values is None:
            return NULL
        values = np.ascontiguousarray(values, np.dtype(dtype)).reshape(-1)
        key = (dtype, values.tobytes())
        if key not in self._known:
            name = self._name(key)
            kind = _TYPES[dtype]
            self.definitions.append(f"static const {kind} {name}[{values.size}] = {{\n{_rows(values)}\n}};")
            self.bytes += values.nbytes
        return self._known[key]

    def structure(self, ctype: str, /, **fields: Any) -> Text:
        """The address of a structure; its fields are numbers, `Text`, and dictionaries for structures within, in C's order."""
        key = (ctype, initializer(fields))
        if key not in self._known:
            name = self._name(key, "&")
            self.definitions.append(f"static const {ctype} {name} = {initializer(fields)};")
            self.bytes += 4 * _count(fields)
        return self._known[key]

    def _name(self, key, before=""):
        name = f"{self._prefix}_{len(self._known)}"
        self._known[key] = Text(before + name)
        return name


def number(value: float | int | bool | Text) -> str:
    """A number as C text; a float is the float32 next to it, to the last bit."""
    if isinstance(value, Text):
        return value.text
    if isinstance(value, float | np.floating):
        return _real(float(value))
    if int(value) == -(2**31):
        return "INT32_MIN"
    return str(int(value))


def _real(value):
    if np.isnan(value):
        raise NoC("the network holds a value that is no number")
    text = f"{np.float32(np.clip(value, -_LARGEST, _LARGEST)):.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"


def initializer(fields: dict) -> str:
    """The initializer of a structure."""
    parts = [initializer(value) if isinstance(value, dict) else number(value) for value in fields.values()]
    return "{" + ", ".join(parts) + "}"


def _count(fields):
    return sum(_count(value) if isinstance(value, dict) else 1 for value in fields.values())


def _rows(values):
    kind = values.dtype.kind
    if kind == "u" and values.itemsize > 1:
        parts = [f"0x{value:0{2 * values.itemsize}x}u" for value in values.tolist()]
    elif kind == "f":
        parts = [_real(value) for value in values.tolist()]
    else:
        parts = ["INT32_MIN" if value == -(2**31) else str(value) for value in values.tolist()]
    rows, row = [], ""
    for part in parts:
        if len(row) + len(part) + 2 > _COLUMNS:
            rows.append(row)
            row = ""
        row += f"{', ' if row else '    '}{part}"
        if len(row) > _COLUMNS - 12:
            rows.append(row)
            row = ""
    return ",\n".join([*rows, row] if row else rows)
