"""larq's metric."""

from tfq.metrics import FlipRatio

__all__ = ["FlipRatio"]
