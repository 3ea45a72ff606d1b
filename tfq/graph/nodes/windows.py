"""Margins and pools of images."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from tfq.graph import check, reference
from tfq.graph.fields import Sizes
from tfq.graph.operations import Node, register_operation


@register_operation
@dataclass(frozen=True)
class ZeroPad(Node):
    """Zeros around the image: `widths` are (top, bottom, left, right)."""

    widths: Annotated[tuple, Sizes(4, low=0)]

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        height, width, channels = check.image(self, shapes)
        top, bottom, left, right = self.widths
        return top + height + bottom, left + width + right, channels

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        top, bottom, left, right = self.widths
        return np.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])


@dataclass(frozen=True)
class _Pool(Node):
    pool_size: Annotated[tuple, Sizes(2)] = (2, 2)
    strides: Annotated[tuple, Sizes(2)] = (2, 2)
    padding: Literal["same", "valid"] = "valid"

    def infer(self, shapes):
        """See `Node`."""
        shape = check.image(self, shapes)
        return (*check.moved(self, shape, self.pool_size), shape[-1])


@register_operation
@dataclass(frozen=True)
class MaxPool(_Pool):
    """Maximum over windows; "same" pads with nothing that could be the maximum."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return reference.pool(x, self.pool_size, self.strides, self.padding, np.nanmax)


@register_operation
@dataclass(frozen=True)
class AveragePool(_Pool):
    """Mean over windows; "same" leaves what lies outside out of the mean."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return reference.pool(x, self.pool_size, self.strides, self.padding, np.nanmean)


@dataclass(frozen=True)
class _GlobalPool(Node):
    keepdims: bool = False

    def infer(self, shapes):
        """See `Node`."""
        channels = check.image(self, shapes)[-1]
        return (1, 1, channels) if self.keepdims else (channels,)


@register_operation
@dataclass(frozen=True)
class GlobalMaxPool(_GlobalPool):
    """Maximum over height and width: (batch, channels), or (batch, 1, 1, channels) with `keepdims`."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return x.max(axis=(1, 2), keepdims=self.keepdims)


@register_operation
@dataclass(frozen=True)
class GlobalAveragePool(_GlobalPool):
    """Mean over height and width: (batch, channels), or (batch, 1, 1, channels) with `keepdims`."""

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return x.mean(axis=(1, 2), keepdims=self.keepdims)
