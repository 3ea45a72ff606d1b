"""How windows move over a tensor, and what "same" pads."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Window(NamedTuple):
    """How windows move along one axis.

    Attributes:
        out: number of windows.
        before: length padded in front.
        after: length padded behind.
    """

    out: int
    before: int
    after: int


def window(length: int, size: int, stride: int, dilation: int = 1, padding: str = "same") -> Window:
    """The `Window` of a kernel or pool of `size` on an axis of `length`; "same" pads as TensorFlow does."""
    reach = (size - 1) * dilation + 1
    if padding == "valid":
        return Window((length - reach) // stride + 1, 0, 0)
    out = -(-length // stride)
    total = max(0, (out - 1) * stride + reach - length)
    return Window(out, total // 2, total - total // 2)


def as_image(shape: Sequence[int]) -> tuple[int, int, int]:
    """Any shape as (height, width, channels)."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (math.prod(shape[:-1]), 1, shape[-1])
