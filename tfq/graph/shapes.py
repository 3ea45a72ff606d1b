"""How windows move over a tensor, and what "same" pads."""

import math
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


def window(length, size, stride, dilation=1, padding="same"):
    """The `Window` of a kernel or pool of `size` on an axis of `length`; "same" pads as TensorFlow does."""
    reach = (size - 1) * dilation + 1
    if padding == "valid":
        return Window((length - reach) // stride + 1, 0, 0)
    out = -(-length // stride)
    total = max(0, (out - 1) * stride + reach - length)
    return Window(out, total // 2, total - total // 2)


def as_image(shape):
    """Any shape as (height, width, channels)."""
    return tuple(shape) if len(shape) == 3 else (math.prod(shape[:-1]), 1, shape[-1])
