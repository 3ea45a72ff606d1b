"""The lines that a run prints."""

import time

from tfq.backend.keras import Logs, keras
from tfq.data.batches import Batches
from tfq.terminal import Log
from tfq.training.lines import duration


class Report(keras.callbacks.Callback):
    """Prints one line an epoch for training and one for test, with the figures of `Speed`, which must be in the logs.

    Args:
        batches: the training `tfq.data.Batches`.
        val_batches: the ones of the test.
        epochs: length of the run.
        test_name: what the test lines are headed with.
        log: takes each line.
    """

    def __init__(self, batches: Batches, val_batches: Batches, epochs: int, test_name: str = "Test", log: Log = print) -> None:
        super().__init__()
        self.batches = batches
        self.val_batches = val_batches
        self.epochs = epochs
        self.test_name = test_name
        self.log = log
        self._epoch_seconds = []

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clocks."""
        self.val_batches.reset_timer()
        self._started = time.perf_counter()

    def on_test_begin(self, logs: Logs = None) -> None:
        """Training of this epoch is over, and its checkpoint written."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Print both lines."""
        now = time.perf_counter()
        self._epoch_seconds.append(now - self._started)
        self.log(
            f"{head('Train', epoch, self.batches.num_images)} loss: {logs['loss']:7.3f} | top1: {logs['top1']:7.3%} | "
            f"load_time: {logs['load_share']:4.0%} | lr: {logs['learning_rate']:.1e} | {logs['images_per_second']:.0f} images/s"
        )
        load_share = self.val_batches.seconds / max(now - self._trained, 1e-9)
        self.log(
            f"{head(self.test_name, epoch, self.val_batches.num_images)} loss: {logs['val_loss']:7.3f} | "
            f"top1: {logs['val_top1']:7.3%} | load_time: {load_share:4.0%} | time left: {self._time_left(epoch)}"
        )

    def _time_left(self, epoch):
        # The first epoch of a process compiles; later ones tell better how long an epoch takes.
        recent = self._epoch_seconds[1:] or self._epoch_seconds
        return duration(sum(recent) / len(recent) * (self.epochs - epoch - 1))


def head(name: str, epoch: int, images: int, of: int | None = None) -> str:
    """The start of a line: whose figures, of which epoch, and of how many of its images; by default all."""
    of = images if of is None else of
    return f"{name + ':':<8}{epoch:3d} [{images:6d}/{of:6d} ({images / of:4.0%})]"
