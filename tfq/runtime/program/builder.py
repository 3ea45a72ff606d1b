"""A program in the making."""

import numpy as np

from tfq.graph import nodes as g
from tfq.runtime.lanes import LANES
from tfq.runtime.plan.plan import Plan
from tfq.runtime.program.memory import Constants
from tfq.runtime.program.steps import NO_QUANTIZER, NOWHERE, SIGN, At, Buffer, Step, Tile


class Builder:
    """Collects the steps of a program, and what they point to.

    Args:
        plan: of the network.
        threads: threads that may work on one image.
        tile: the largest that the processor has registers for.

    Attributes:
        steps: so far.
        labels: (name of the operation, path) of each step.
        paths: (name, path) of each convolution and product.
        constants: `Constants`.
    """

    def __init__(self, plan: Plan, threads: int, tile: Tile):
        self.plan, self.threads, self.tile = plan, threads, tile
        self.steps: list[Step] = []
        self.labels: list[tuple[str, str]] = []
        self.paths: list[tuple[str, str]] = []
        self.constants = Constants()
        self._nodes = {node.name: node for node in plan.nodes}
        self._same = {}

    def add(self, name: str, path: str, step: Step) -> None:
        """Append a step of the operation `name`; `path` says by which means it is computed."""
        self.labels.append((self.plan.origins.get(name, name), path))
        self.steps.append(step)

    def add_path(self, name: str, path: str) -> None:
        """Note by which means a convolution or product is computed; of its parts, those that are alike count once."""
        row = (self.plan.origins.get(name, name), path)
        if row not in self.paths:
            self.paths.append(row)

    def size(self, name: str) -> int:
        """Elements of a tensor."""
        return int(np.prod(self.plan.shapes[name], dtype=np.int64))

    def tensor(self, name: str, offset: int = 0) -> At:
        """A tensor in float32, from one of its elements on."""
        name = self._same.get(name, name)
        return At(Buffer(name, self.size(name)), offset)

    def is_same(self, name: str, other: str) -> None:
        """A tensor is where another one is."""
        self._same[name] = self.tensor(other).buffer.name

    def floats(self, values, channels: int) -> int:
        """float32 constants, one a channel, filled up to whole vectors."""
        values = np.broadcast_to(np.asarray(values, np.float32).reshape(-1), (channels,))
        return self.constants.add(np.pad(values, (0, -channels % LANES)))

    def affine(self, node: g.ScaleShift | str | None, channels: int, part: slice = slice(None)) -> tuple[int, int]:
        """Constants of a `ScaleShift`, which may be given by its name; of some of its channels."""
        if node is None:
            return NOWHERE, NOWHERE
        node = self._nodes[node] if isinstance(node, str) else node
        scale, shift = (np.broadcast_to(values, (channels,))[part] for values in (node.scale, node.shift))
        return self.floats(scale, len(scale)), self.floats(shift, len(shift))

    def clamp(self, limits: tuple[float, float] | None) -> int:
        """The constants of an interval."""
        return NOWHERE if limits is None else self.floats(limits, 2)


def quantizer_code(quantizer: g.Sign | g.Levels | None) -> int:
    """A quantizer as the number that steps know it by."""
    match quantizer:
        case None:
            return NO_QUANTIZER
        case g.Sign():
            return SIGN
        case g.Levels():
            return quantizer.bits
        case _:
            raise TypeError(f"{type(quantizer).__name__} is a quantizer that no step knows")
