"""larq's constraints: those of `tfq.constraints`."""

from tfq.constraints import WeightClip

__all__ = ["WeightClip", "weight_clip"]

# Another name of the class, which larq gives too.
weight_clip = WeightClip
