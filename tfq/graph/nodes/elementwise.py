"""Operations on each value by itself."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from tfq.graph import check
from tfq.graph.check import GraphError
from tfq.graph.fields import Quantizer, Range
from tfq.graph.operations import Node, register_operation
from tfq.graph.quantizers import quantize


@register_operation
@dataclass(frozen=True)
class ScaleShift(Node):
    """x * scale + shift, per channel of the last axis: batch normalization, folded, or a rescaling."""

    scale: np.ndarray
    shift: np.ndarray

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        shape = check.one(self, shapes)
        if not len(self.scale) == len(self.shift) == shape[-1]:
            raise GraphError(f"{self.name!r} has {len(self.scale)} scales and {len(self.shift)} shifts for {shape[-1]} channels")
        return shape

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return x * self.scale + self.shift


@register_operation
@dataclass(frozen=True)
class ReLU(Node):
    """max(x, 0), and min(x, max_value) if that is given."""

    max_value: Annotated[float, Range(0)] | None = None

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        return check.one(self, shapes)

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return np.clip(x, 0, self.max_value)


@register_operation
@dataclass(frozen=True)
class HardTanh(Node):
    """min(max(x, -1), 1)."""

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        return check.one(self, shapes)

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return np.clip(x, -1, 1)


@register_operation
@dataclass(frozen=True)
class Quantize(Node):
    """A quantizer as an operation of its own."""

    quantizer: Quantizer

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        return check.one(self, shapes)

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return quantize(self.quantizer, x)
