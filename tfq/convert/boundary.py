"""How near values lie to the boundaries of their quantizer: next to one, rounding decides to which side they fall."""

import numpy as np

from tfq.graph import nodes as g

# Distance from a boundary, over the deviation of the channel, within which two right engines may fall to different sides.
NEAR = 1e-5


def distance(values: np.ndarray, quantizer: g.Sign | g.Levels) -> np.ndarray:
    """Distance of each value from the nearest boundary of a quantizer, float64.

    That of a sign is 0; those of k bits are (q + 1/2) / n for q = 0 ... n - 1, n = 2^k - 1.
    """
    if isinstance(quantizer, g.Sign):
        return np.abs(values.astype(np.float64))
    n = quantizer.highest
    scaled = values.astype(np.float64) * n
    return np.abs(scaled - (np.clip(np.floor(scaled), 0, n - 1) + 0.5)) / n


def relative_distance(values: np.ndarray, quantizer: g.Sign | g.Levels, deviation: np.ndarray) -> np.ndarray:
    """The same over the deviation of the channel; 0 on the boundary itself.

    Args:
        values: (..., channels).
        quantizer: `Sign` or `Levels` of `tfq.graph.nodes`.
        deviation: standard deviation of each channel, (channels,).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(distance(values, quantizer) / deviation, nan=0.0, posinf=np.inf)
