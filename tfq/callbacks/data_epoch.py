"""Tells the data which epoch it is."""

from tfq.backend.keras import keras


class DataEpoch(keras.callbacks.Callback):
    """Sets the epoch of the training batches, of which their order and augmentation are a function.

    Args:
        batches: the `tfq.data.Batches` that the model is fitted to.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        """Set the epoch."""
        self.batches.set_epoch(epoch)
