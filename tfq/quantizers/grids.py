"""The values that quantizers end on, and quantized kernels as integers."""

from dataclasses import dataclass

import numpy as np

from tfq.backend.keras import Tensor, ops


@dataclass(frozen=True)
class Sign:
    """-1 and 1."""

    def values(self, codes: np.ndarray) -> np.ndarray:
        """What codes stand for, but for the scale."""
        return codes


@dataclass(frozen=True)
class Ternary:
    """-1, 0 and 1."""

    def values(self, codes: np.ndarray) -> np.ndarray:
        """What codes stand for, but for the scale."""
        return codes


@dataclass(frozen=True)
class Levels:
    """2^bits equally spaced levels from `low` to `high`, both of them levels; the codes count them from 0."""

    bits: int
    low: float
    high: float

    def values(self, codes: np.ndarray) -> np.ndarray:
        """What codes stand for."""
        n = 2**self.bits - 1
        return (self.low * (n - codes) + self.high * codes) / n

    def codes(self, values: np.ndarray) -> np.ndarray:
        """The nearest levels."""
        return np.rint((values.astype(np.float64) - self.low) / (self.high - self.low) * (2**self.bits - 1)).astype(np.int64)


@dataclass(frozen=True)
class Integers:
    """The integers from `low` to `high`, times a step that is learned."""

    low: int
    high: int

    def values(self, codes: np.ndarray) -> np.ndarray:
        """What codes stand for, but for the step."""
        return codes


@dataclass(frozen=True)
class UnevenTernary:
    """-negative, 0 and positive: a scale for each sign."""

    positive: float
    negative: float

    def values(self, codes: np.ndarray) -> np.ndarray:
        """What codes -1, 0 and 1 stand for."""
        return np.where(codes > 0, self.positive, np.where(codes < 0, -self.negative, 0.0))

    def codes(self, values: np.ndarray) -> np.ndarray:
        """The code of the nearest value."""
        choices = np.arange(-1, 2)
        return choices[np.abs(np.expand_dims(values, -1) - self.values(choices)).argmin(axis=-1)]


Grid = Sign | Ternary | Levels | Integers | UnevenTernary


@dataclass(frozen=True)
class Codes:
    """A quantized kernel as integers: `grid.values(codes) * scale` are its values.

    Args:
        codes: integers, in the layout of the kernel.
        scale: float32, of a shape that fits that of the kernel: (1, 1, 1, out) for one a filter.
        grid: what the codes stand for.
    """

    codes: np.ndarray
    scale: np.ndarray
    grid: Grid

    def values(self) -> np.ndarray:
        """The quantized kernel again, float32."""
        return (self.grid.values(self.codes) * self.scale).astype(np.float32)


def filter_axes(rank: int, channel_axis: int | tuple[int, ...]) -> tuple[int, ...]:
    """The axes that one filter spans, in ascending order: all of a kernel of this rank but those that count the filters."""
    channels = {axis % rank for axis in np.atleast_1d(channel_axis).tolist()}
    return tuple(axis for axis in range(rank) if axis not in channels)


def encode(values: Tensor, grid: Grid | None, channel_axis: int | tuple[int, ...] = -1) -> Codes:
    """Values of a quantizer, a tensor, as integers.

    The scale of signs and ternary values is the largest of a filter; a filter of zeros has the scale 0.

    Args:
        values: the quantized kernel.
        grid: what it lies on.
        channel_axis: as in `KernelQuantizer`.

    Raises:
        TypeError: the grid is not known, or does not tell its scale.
    """
    values = np.asarray(ops.convert_to_numpy(ops.cast(values, "float32")))
    if isinstance(grid, Levels | UnevenTernary):
        return Codes(grid.codes(values), np.ones((1,) * values.ndim, np.float32), grid)
    if not isinstance(grid, Sign | Ternary):
        raise TypeError(f"a scale is read off signs and ternary values; of {grid!r} the quantizer itself must give the codes")
    scale = np.abs(values).max(axis=filter_axes(values.ndim, channel_axis), keepdims=True)
    codes = np.where(values > 0, 1, -1)
    return Codes(np.where(values == 0, 0, codes) if isinstance(grid, Ternary) else codes, scale, grid)
