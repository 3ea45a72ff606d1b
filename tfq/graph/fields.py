"""Attributes of operations as JSON values, bit planes and floats, and back: how follows from the types of a dataclass's fields.

What is read may come from anyone: each value is checked before it is used, and no array is made that the file does not hold.
"""

import math
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfq.graph import kernels
from tfq.graph.check import GraphError
from tfq.graph.kernels import FloatKernel, PackedKernel
from tfq.graph.quantizers import Levels, Sign

# Sizes, strides, lengths: more would be an attack, and products of them are Python integers in any case.
_MAX_INTEGER = 2**31 - 1
_MAX_NUMBER = 1e30
MAX_NAME = 500  # characters of a layer's name, or a label

Kernel = FloatKernel | PackedKernel
Quantizer = Sign | Levels


@dataclass(frozen=True)
class Range:
    """For `Annotated[int, Range(...)]` and float: the lowest and the highest value."""

    low: float
    high: float | None = None


@dataclass(frozen=True)
class Sizes:
    """For `Annotated[tuple, Sizes(...)]`: how many integers, from `low` on."""

    counts: tuple
    low: int

    def __init__(self, *counts: int, low: int = 1) -> None:
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "low", low)


class Arrays:
    """Where the arrays of the operations come from, or go to: two streams, of bytes (bit planes) and of float32 values."""

    def __init__(self, planes: np.ndarray | None = None, floats: np.ndarray | None = None) -> None:
        self._left: dict[str, Any] = {"planes": planes, "floats": floats}
        self.planes, self.floats = [], []

    def put_floats(self, values: np.ndarray) -> int:
        """Append values; returns their number."""
        self.floats.append(np.ascontiguousarray(values, dtype="<f4").ravel())
        return int(self.floats[-1].size)

    def take_floats(self, shape: tuple[int, ...]) -> np.ndarray:
        """The next values, in this shape."""
        return self._take("floats", math.prod(shape)).reshape(shape)

    def take_planes(self, count: int, weights: int) -> np.ndarray:
        """The next `count` planes of `weights` bits each."""
        return self._take("planes", count * -(-weights // 8)).reshape(count, -1)

    def check_empty(self) -> None:
        """Raise unless all was taken."""
        for name, left in self._left.items():
            if len(left):
                raise GraphError(f"{len(left)} values of {name!r} belong to no operation")

    def _take(self, name, count):
        left = self._left[name]
        if count > len(left):
            raise GraphError(f"{count} values of {name!r} are wanted where {len(left)} are left")
        self._left[name] = left[count:]
        return left[:count]


def shown(value: Any) -> str:
    """A value of a file in an error: never long, never more than a line."""
    text = ascii(value) if type(value) in (str, int, float, bool, type(None)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_keys(content: Any, required: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Raise unless a JSON value is an object of these keys."""
    if type(content) is not dict:
        raise GraphError(f"expected an object; got {shown(content)}")
    for key in content:
        if key not in required and key not in optional:
            raise GraphError(f"attribute {shown(key)} is unknown in {shown(content.get('name', 'the file'))}")
    for key in sorted(required):
        if key not in content:
            raise GraphError(f"attribute {key!r} is missing in {shown(content.get('name', 'the file'))}")


class Codec:
    """How the values of one type are written and read; they are JSON values themselves here."""

    def encode(self, value: Any, arrays: Arrays) -> Any:
        """The JSON value; arrays go into `arrays` and leave their length."""
        return value

    def decode(self, value: Any, arrays: Arrays) -> Any:
        """The value that a JSON value of a file, which may be anything, stands for.

        Raises:
            GraphError: it is of another type, or out of range.
        """
        raise NotImplementedError

    def version(self, value: Any) -> int:
        """The oldest version of a file that holds a value."""
        return 1


class _Integer(Codec):
    def __init__(self, low=-_MAX_INTEGER, high=_MAX_INTEGER):
        self._low, self._high = low, high

    def decode(self, value, arrays):
        if type(value) is not int or not self._low <= value <= self._high:
            raise GraphError(f"expected an integer from {self._low} to {self._high}; got {shown(value)}")
        return value


class _Number(Codec):
    def __init__(self, low=-_MAX_NUMBER, high=_MAX_NUMBER):
        self._low, self._high = low, high

    def decode(self, value, arrays):
        if type(value) not in (int, float) or not self._low <= value <= self._high:
            raise GraphError(f"expected a number from {self._low:g} to {self._high:g}; got {shown(value)}")
        return float(value)


class _OneOf(Codec):
    def __init__(self, *allowed):
        self._allowed = allowed

    def decode(self, value, arrays):
        if not any(type(value) is type(choice) and value == choice for choice in self._allowed):
            raise GraphError(f"expected {' or '.join(map(repr, self._allowed))}; got {shown(value)}")
        return value


class _Tuple(Codec):
    def __init__(self, sizes):
        self._counts, self._size = sizes.counts, _Integer(sizes.low)

    def encode(self, value, arrays):
        return list(value)

    def decode(self, value, arrays):
        if type(value) is not list or len(value) not in self._counts:
            raise GraphError(f"expected a list of {' or '.join(map(str, self._counts))} sizes; got {shown(value)}")
        return tuple(self._size.decode(length, arrays) for length in value)


class _Text(Codec):
    def decode(self, value, arrays):
        if type(value) is not str or not 0 < len(value) <= MAX_NAME:
            raise GraphError(f"expected a text of 1 to {MAX_NAME} characters; got {shown(value)}")
        return value


class _Texts(Codec):
    def encode(self, value, arrays):
        return list(value)

    def decode(self, value, arrays):
        if type(value) is not list:
            raise GraphError(f"expected a list of texts; got {shown(value)}")
        return tuple(TEXT.decode(item, arrays) for item in value)


class _Vector(Codec):
    def encode(self, value, arrays):
        return arrays.put_floats(value)

    def decode(self, value, arrays):
        return arrays.take_floats((_Integer(1).decode(value, arrays),))


class _Quantizer(Codec):
    _bits = _Integer(1, kernels.MAX_BITS)

    def encode(self, value, arrays):
        return "sign" if isinstance(value, Sign) else value.bits

    def decode(self, value, arrays):
        return Sign() if value == "sign" else Levels(self._bits.decode(value, arrays))


class _Kernel(Codec):
    _shape, _bits = _Tuple(Sizes(2, 3, 4)), _Integer(2, kernels.MAX_BITS)

    def encode(self, value, arrays):
        if isinstance(value, FloatKernel):
            arrays.put_floats(value.values)
            return {"shape": list(value.shape)}
        arrays.planes.append(value.planes.ravel())
        bits = {"bits": value.bits} if kernels.coding_of(value).fixed_bits is None else {}
        return {"coding": value.coding, **bits, "shape": list(value.shape), "scale": arrays.put_floats(value.scale)}

    def decode(self, value, arrays):
        if type(value) is not dict:
            raise GraphError(f"expected an object; got {shown(value)}")
        if "coding" not in value:
            check_keys(value, {"shape"})
            return FloatKernel(arrays.take_floats(self._shape.decode(value["shape"], arrays)))
        coding = kernels.CODINGS[_OneOf(*kernels.CODINGS).decode(value["coding"], arrays)]
        check_keys(value, {"coding", "shape", "scale", *(["bits"] if coding.fixed_bits is None else [])})
        shape = self._shape.decode(value["shape"], arrays)
        bits = coding.fixed_bits or self._bits.decode(value["bits"], arrays)
        planes = arrays.take_planes(bits, math.prod(shape))
        if (wrong := kernels.wrong(coding.name, planes, math.prod(shape))) is not None:
            raise GraphError(wrong)
        return PackedKernel(coding.name, bits, shape, planes, VECTOR.decode(value["scale"], arrays))

    def version(self, value):
        return kernels.coding_of(value).version if isinstance(value, PackedKernel) else 1


TEXT, TEXTS, VECTOR = _Text(), _Texts(), _Vector()
SHAPE = _Tuple(Sizes(1, 2, 3))

_OF_TYPES = {
    bool: _OneOf(True, False),
    int: _Integer(),
    float: _Number(),
    str: TEXT,
    np.ndarray: VECTOR,
    Kernel: _Kernel(),
    Quantizer: _Quantizer(),
}
_OF_RANGES: dict[type, Callable[..., Codec]] = {int: _Integer, float: _Number}


def codec_of(kind: Any, where: str) -> Codec:
    """The `Codec` of the values of a type.

    Args:
        kind: annotation of a dataclass's field.
        where: name of the field, for errors.

    Raises:
        TypeError: a file has no such values.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in _OF_TYPES:
        return _OF_TYPES[kind]
    if origin in (typing.Union, types.UnionType) and type(None) in arguments:
        # None is the default, which is left out.
        rest: Any = typing.Union[tuple(argument for argument in arguments if argument is not type(None))]  # noqa: UP007
        return codec_of(rest, where)
    if origin is typing.Literal:
        return _OneOf(*arguments)
    if origin is typing.Annotated and isinstance(arguments[1], Sizes):
        return _Tuple(arguments[1])
    if origin is typing.Annotated and isinstance(arguments[1], Range) and arguments[0] in _OF_RANGES:
        bounds = {name: value for name, value in vars(arguments[1]).items() if value is not None}
        return _OF_RANGES[arguments[0]](**bounds)
    raise TypeError(f"{where} is annotated with {kind}, of which a file holds no values; see tfq.graph.register_operation")
