"""Tells the data which epoch it is."""

from tfq.backend.keras import Logs, keras
from tfq.data.batches import Batches


class DataEpoch(keras.callbacks.Callback):
    """Sets the epoch of the training batches, of which their order and augmentation are a function.

    Args:
        batches: the `tfq.data.Batches` that the model is fitted to.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the epoch."""
        self.batches.set_epoch(epoch)
