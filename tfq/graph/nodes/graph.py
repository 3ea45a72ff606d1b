"""A network: operations in an order in which they can be run."""

from dataclasses import dataclass, field

import numpy as np

from tfq.graph import check
from tfq.graph.operations import Node


@dataclass(frozen=True)
class Graph:
    """A network; that its operations fit together is checked once, when it is made.

    Args:
        input_shape: (height, width, channels) of an image, (length, channels) of a sequence, or (features,).
        nodes: in an order in which each comes after its inputs; the last is the output.
        pixel_mean: per channel, of pixels scaled to [0, 1]; None where uint8 images are not taken.
        pixel_std: likewise.
        labels: names of the classes.

    Attributes:
        shapes: of the result of each operation by its name, and of `INPUT`, without the batch axis.

    Raises:
        GraphError: a name is used twice or before it is there, or operands do not fit.
    """

    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    pixel_mean: np.ndarray | None = None
    pixel_std: np.ndarray | None = None
    labels: tuple[str, ...] = field(default=())
    shapes: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "shapes", check.infer(self))

    @property
    def output_shape(self) -> tuple:
        """Shape of the result, without the batch axis."""
        return self.shapes[self.nodes[-1].name]
