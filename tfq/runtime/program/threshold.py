"""The sign of what follows a convolution, as a comparison of its integer accumulator."""

import numpy as np

from tfq.graph import nodes as g

_LOWEST = np.iinfo(np.int32).min


def apply(node, x):
    """An element-wise operation in float32, as the compiled steps compute it."""
    match node:
        case g.ScaleShift():
            return x * node.scale.astype(np.float32) + node.shift.astype(np.float32)
        case g.ReLU():
            x = np.where(x < 0, np.float32(0), x)
            return x if node.max_value is None else np.where(x > node.max_value, np.float32(node.max_value), x)
        case g.HardTanh():
            return np.clip(x, np.float32(-1), np.float32(1))
    raise TypeError(f"{node.name}: {type(node).__name__} is not monotone in its input")


def fold(scale, bias, chain, bound):
    """Thresholds t and flips f with  sign(chain(a scale + bias)) = +1  exactly where  (a >= t) != f.

    The chain is monotone, in float32 too, since rounding is: a search over the accumulators finds where it changes sign, so
    that the comparison agrees with the float32 arithmetic it replaces to the last bit.

    Args:
        scale: float32 (filters,).
        bias: float32 (filters,).
        chain: element-wise operations: `ScaleShift`, `ReLU`, `HardTanh`.
        bound: no accumulator is larger in size.

    Returns:
        int32 (filters,) and bool (filters,).
    """

    def positive(a):
        with np.errstate(all="ignore"):
            x = a.astype(np.float32) * scale + bias
            for node in chain:
                x = apply(node, x)
            return np.broadcast_to(x, scale.shape) >= 0

    low, high = np.full(scale.shape, -bound, np.int64), np.full(scale.shape, bound, np.int64)
    at_low, at_high = positive(low), positive(high)
    constant = at_low == at_high
    # What holds at `low` holds no more at `high`; they close in on the first accumulator where it does not.
    while np.any(high - low > 1):
        middle = (low + high) // 2
        as_low = positive(middle) == at_low
        low, high = np.where(as_low, middle, low), np.where(as_low, high, middle)
    return np.where(constant, _LOWEST, high).astype(np.int32), np.where(constant, ~at_low, at_low)
