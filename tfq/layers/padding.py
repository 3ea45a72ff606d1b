"""What "same" and "causal" padding add to an axis."""

from typing import Any


def same(length: Any, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Widths that "same" pads one axis with, in front and behind: the odd one goes behind.

    Args:
        length: of the axis, an integer of Python or a tensor; with a stride of 1 it does not matter, and may be None.
        window: number of cells that an output sees.
        stride: steps between two of them.
        dilation: distance of its cells.
    """
    reach = (window - 1) * dilation + 1
    total = reach - 1 if stride == 1 else _or_zero((-(-length // stride) - 1) * stride + reach - length)
    return total // 2, total - total // 2


def causal(length: Any, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Widths that "causal" pads one axis with: all in front, so that no output sees a cell behind it. Arguments as in `same`."""
    return (window - 1) * dilation, 0


def _or_zero(number):
    """The larger of a number and 0; `max` takes no tensor whose value is not known yet."""
    return (number + abs(number)) // 2
