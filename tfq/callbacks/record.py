"""Keeps the history of a run, its checkpoints and its CSV file."""

import math

from tfq.compat import keras
from tfq.training import checkpoint


class Record(keras.callbacks.Callback):
    """After each epoch: the history, the last checkpoint, the best one, the CSV file, in this order.

    The checkpoint holds the history, so that after a restart everything else follows from it. Keras' ModelCheckpoint and
    CSVLogger write in place: a process killed meanwhile leaves half a file, or an epoch that comes twice. An epoch whose loss
    is not finite is not recorded.

    Args:
        history: the `History` of the run, filled by this callback.
        last: path of the last checkpoint.
        best: path of the one with the highest `val_top1`.
        csv: path of the CSV file.
    """

    def __init__(self, history, last, best, csv):
        super().__init__()
        self.history = history
        self.last = last
        self.best = best
        self.csv = csv

    def on_train_begin(self, logs=None):
        """Make what follows from the history agree with it: the process may have died between two of the files."""
        if self.history.epochs and self.last.exists():
            self._write_followers()

    def on_epoch_end(self, epoch, logs=None):
        """Record the epoch."""
        if not math.isfinite(logs["loss"]):
            return
        self.history.append(epoch, logs)
        checkpoint.save(self.model, self.last, self.history)
        self._write_followers()

    def _write_followers(self):
        if self.history.best_epoch() == self.history.rows[-1]["epoch"]:
            checkpoint.copy(self.last, self.best)
        self.history.write_csv(self.csv)
