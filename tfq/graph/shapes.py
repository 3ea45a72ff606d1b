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
    """The `Window` of a kernel or pool of `size` on an axis of `length`; "same" pads as TensorFlow does, "causal" in front."""
    reach = (size - 1) * dilation + 1
    if padding == "valid":
        return Window((length - reach) // stride + 1, 0, 0)
    out = -(-length // stride)
    if padding == "causal":
        return Window(out, reach - 1, 0)
    total = max(0, (out - 1) * stride + reach - length)
    return Window(out, total // 2, total - total // 2)


def as_image(shape: Sequence[int]) -> tuple[int, int, int]:
    """Any shape as (height, width, channels); a sequence (length, channels) is one row."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, math.prod(shape[:-1]), shape[-1])


def of_image(sizes: Sequence[int]) -> tuple[int, int]:
    """Sizes along the axes of a sequence or an image, such as strides, as (height, width): a sequence is one row."""
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


class Spread(NamedTuple):
    """How a transposed convolution spreads an axis: cell i meets tap t at i stride + t dilation - before, of `out` places.

    Attributes:
        out: length of the result.
        before: places that are cut off in front.
        reach: length with nothing cut off.
    """

    out: int
    before: int
    reach: int


def spread(length: int, size: int, stride: int, dilation: int, padding: str, output_padding: int | None) -> Spread:
    """The `Spread` of a kernel of `size` over an axis of `length`: lengths as in Keras, cut off as in TensorFlow."""
    covered = (size - 1) * dilation + 1
    whole = (length - 1) * stride + covered
    if padding == "valid":
        out = whole + (max(stride - covered, 0) if output_padding is None else output_padding)
    else:
        out = length * stride if output_padding is None else whole - covered + covered % 2 + output_padding
    before = max(0, whole - out) // 2
    return Spread(out, before, max(whole, before + out))
