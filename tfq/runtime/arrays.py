"""Arrays that compiled code works on, and where they are."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


def address(array: np.ndarray) -> int:
    """Where the first element of an array is."""
    return array.__array_interface__["data"][0]


@dataclass(frozen=True)
class Memory:
    """Constants and working memory of one call, of int32."""

    constants: np.ndarray
    memory: np.ndarray

    @cached_property
    def arguments(self) -> tuple[int, ...]:
        """Where they are and how large, as integers and as floats."""
        at, to = address(self.constants), address(self.memory)
        return at, at, self.constants.size, to, to, self.memory.size


@dataclass(frozen=True)
class Array:
    """An array that many calls read, and where it is: to ask NumPy takes a microsecond."""

    array: np.ndarray

    @cached_property
    def arguments(self) -> tuple[int, ...]:
        """Where it is, and its shape."""
        return address(self.array), *self.array.shape
