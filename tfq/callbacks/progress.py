"""How far an epoch is."""

import time
from collections.abc import Callable

from tfq.backend.keras import Logs, keras
from tfq.callbacks.report import head
from tfq.data.batches import Steps
from tfq.terminal import Log
from tfq.training.lines import duration


class Progress(keras.callbacks.Callback):
    """Says after each batch how far the epoch is, in the words of the lines of `Report`.

    Args:
        batches: the steps of training, `tfq.data.Batches` or what `tfq.data.feeding` makes of them.
        val_batches: those of the test.
        test_name: what the test lines are headed with.
        show: takes each line, as `tfq.training.lines.Lines.progress` does, which shows few of them.
        clock: seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        batches: Steps,
        val_batches: Steps,
        test_name: str = "Test",
        show: Log = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.batches = batches
        self.val_batches = val_batches
        self.test_name = test_name
        self.show = show
        self.clock = clock
        self._epoch = 0
        self._first: tuple[float, int] | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note which it is."""
        self._epoch, self._first = epoch, None

    def on_test_begin(self, logs: Logs = None) -> None:
        """Start the clock anew."""
        self._first = None

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Say how far the training is."""
        self._say("Train", self.batches, batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Say how far the test is."""
        self._say(self.test_name, self.val_batches, batch, logs)

    def _say(self, name, batches, batch, logs):
        done = batches.seen(batch)
        # What the first batch took, which is compiled, says nothing of the others.
        self._first = self._first or (self.clock(), done)
        started, before = self._first
        line = f"{head(name, self._epoch, done, batches.num_images)} loss: {logs['loss']:7.3f} | top1: {logs['top1']:7.3%}"
        if done > before:
            left = (self.clock() - started) / (done - before) * (batches.num_images - done)
            line += f" | {duration(left)} to go"
        self.show(line)
