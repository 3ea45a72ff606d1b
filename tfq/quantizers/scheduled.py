"""Quantizers whose estimator changes in the course of the training."""

from collections.abc import Callable
from typing import Any

from tfq.quantizers.base import Quantizer


class Scheduled(Quantizer):
    """A quantizer that knows how far the training is: `progress`, from 0 at its start to 1 at its end.

    Each layer keeps it, as a variable that is not trained. `tfq.callbacks.QuantizerProgress` sets it; without that it stays 0.
    """

    def build(self, add_weight: Callable, shape: tuple, channel_axis: int | tuple[int, ...] = -1) -> dict[str, Any]:
        """The progress of the training."""
        return {"progress": add_weight("progress", trainable=False)}
