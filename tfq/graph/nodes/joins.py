"""Several tensors as one, and another shape of one."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from tfq.graph import check
from tfq.graph.check import GraphError
from tfq.graph.fields import Sizes
from tfq.graph.operations import Node, register_operation


@register_operation
@dataclass(frozen=True)
class Add(Node):
    """Sum of two or more tensors of one shape."""

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        if len(shapes) < 2 or len(set(shapes)) != 1:
            raise GraphError(f"{self.name!r} adds two or more tensors of one shape; got {shapes[:4]}")
        return shapes[0]

    def compute(self, *tensors: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return sum(tensors)  # type: ignore[return-value]


@register_operation
@dataclass(frozen=True)
class Concatenate(Node):
    """Tensors one after another along the last axis."""

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        if not shapes or len({shape[:-1] for shape in shapes}) != 1:
            raise GraphError(f"{self.name!r} joins tensors that differ in the last axis only; got {shapes[:4]}")
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def compute(self, *tensors: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return np.concatenate(tensors, axis=-1)


@register_operation
@dataclass(frozen=True)
class Reshape(Node):
    """Another shape, without the batch axis; row-major. Flatten is one of them."""

    shape: Annotated[tuple, Sizes(1, 2, 3)] = ()

    def infer(self, shapes: list[tuple]) -> tuple:
        """See `Node`."""
        shape = check.one(self, shapes)
        if math.prod(self.shape) != math.prod(shape):
            raise GraphError(f"{self.name!r} reshapes {shape} to {self.shape}, which holds another number of values")
        return self.shape

    def compute(self, x: np.ndarray) -> np.ndarray:
        """See `Node`."""
        return x.reshape(len(x), *self.shape)
