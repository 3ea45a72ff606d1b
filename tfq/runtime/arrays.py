"""Arrays that compiled code works on, and where they are."""

import ctypes
from dataclasses import dataclass
from functools import cached_property

import numpy as np


def address(array: np.ndarray) -> int:
    """Where an array is, contiguous and one that may be written; 0 where it is empty. NumPy itself takes four times as long."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array)) if array.size else 0  # type: ignore[arg-type]


@dataclass(frozen=True)
class Array:
    """An array that many calls read, and where it is: to ask NumPy takes a microsecond."""

    array: np.ndarray

    @cached_property
    def arguments(self) -> tuple[int, ...]:
        """Where it is, and its shape."""
        return address(self.array), *self.array.shape


@dataclass(frozen=True)
class Memory:
    """What one call works on: constants and working memory, of int32, and the rows of the program, which say where results go."""

    constants: np.ndarray
    memory: np.ndarray
    rows: Array

    @cached_property
    def arguments(self) -> tuple[int, ...]:
        """Where constants and memory are and how large, as integers and as floats."""
        at, to = address(self.constants), address(self.memory)
        return at, at, self.constants.size, to, to, self.memory.size

    def position(self, place: int) -> int:
        """An address as a position in memory, wherever it is."""
        *_, begin, _ = self.arguments
        return (place - begin) // self.memory.itemsize
