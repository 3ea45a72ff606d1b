"""Keras' TensorBoard callback for runs that are interrupted."""

import shutil

from tfq.backend.keras import Logs, keras
from tfq.files import PathLike
from tfq.training.history import History


class TensorBoard(keras.callbacks.TensorBoard):
    """Writes the curves anew from the history when a run starts again.

    Event files only grow: an epoch that was logged but not yet in a checkpoint when the process died would come twice.

    Args:
        log_dir: directory of the event files; emptied when training begins.
        history: the `History` of the run.
    """

    def __init__(self, log_dir: PathLike, history: History) -> None:
        super().__init__(log_dir=str(log_dir), write_graph=False)
        self.history = history

    def on_train_begin(self, logs: Logs = None) -> None:
        """Empty the directory, then log the epochs from before."""
        shutil.rmtree(self.log_dir, ignore_errors=True)
        super().on_train_begin(logs)
        for row in self.history.rows:
            figures = {name: value for name, value in row.items() if name != "epoch"}
            self.on_epoch_end(row["epoch"], figures)

    def _collect_learning_rate(self, logs):
        # The history already has the rate of each epoch; Keras would log today's for all of them.
        return logs
