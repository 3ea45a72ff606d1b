"""Margins and pools of images and sequences."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from tfq.graph import check, reference
from tfq.graph.check import GraphError
from tfq.graph.fields import Sizes
from tfq.graph.operations import Node, register_operation
from tfq.graph.shapes import as_image, of_image


@register_operation
@dataclass(frozen=True)
class ZeroPad(Node):
    """Zeros around an image, `widths` are (top, bottom, left, right); or a sequence, (in front, behind)."""

    widths: Annotated[tuple, Sizes(2, 4, low=0)]

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        *size, channels = check.windowed(self, shapes, self.widths[::2])
        return (*(before + length + after for length, (before, after) in zip(size, self._pairs(), strict=True)), channels)

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return np.pad(x, [(0, 0), *self._pairs(), (0, 0)])

    def _pairs(self):
        return list(zip(self.widths[::2], self.widths[1::2], strict=True))


@dataclass(frozen=True)
class _Pool(Node):
    pool_size: Annotated[tuple, Sizes(1, 2)] = (2, 2)
    strides: Annotated[tuple, Sizes(1, 2)] = (2, 2)
    padding: Literal["same", "valid"] = "valid"

    def infer(self, shapes):
        """See `Node`."""
        shape = check.windowed(self, shapes, self.pool_size, self.strides)
        return check.pooled(self, shape, self.pool_size)

    def _reduced(self, x, reduce):
        sizes = of_image(self.pool_size), of_image(self.strides)
        y = reference.pool(x.reshape(len(x), *as_image(x.shape[1:])), *sizes, self.padding, reduce)
        return y.reshape(len(x), *y.shape[-len(self.strides) - 1 :])


@register_operation
@dataclass(frozen=True)
class MaxPool(_Pool):
    """Maximum over windows; "same" pads with nothing that could be the maximum."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return self._reduced(x, np.nanmax)


@register_operation
@dataclass(frozen=True)
class AveragePool(_Pool):
    """Mean over windows; "same" leaves what lies outside out of the mean."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return self._reduced(x, np.nanmean)


@dataclass(frozen=True)
class _GlobalPool(Node):
    keepdims: bool = False

    def infer(self, shapes):
        """See `Node`."""
        shape = check.one(self, shapes)
        if len(shape) < 2:
            raise GraphError(f"{self.name!r} takes (height, width, channels) or (length, channels); got shape {shape}")
        return (*([1] * (len(shape) - 1) if self.keepdims else []), shape[-1])


@register_operation
@dataclass(frozen=True)
class GlobalMaxPool(_GlobalPool):
    """Maximum over height and width, or length: (batch, channels), or (batch, 1, 1, channels) with `keepdims`."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return x.max(axis=tuple(range(1, x.ndim - 1)), keepdims=self.keepdims)


@register_operation
@dataclass(frozen=True)
class GlobalAveragePool(_GlobalPool):
    """Mean over height and width, or length: (batch, channels), or (batch, 1, 1, channels) with `keepdims`."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return x.mean(axis=tuple(range(1, x.ndim - 1)), keepdims=self.keepdims)
