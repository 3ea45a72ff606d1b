"""Keeps the history of a run, its checkpoints and its CSV file."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from tfq.backend.keras import Logs, keras
from tfq.callbacks.within_epoch import WithinEpoch
from tfq.training import checkpoint
from tfq.training.history import History


class Record(keras.callbacks.Callback):
    """After the training of each epoch the last checkpoint; after its validation the history, the best one, the CSV file.

    The checkpoint holds the history, so that after a restart everything else follows from it. It is written before the
    validation: a process that dies in it, of want of memory say, loses nothing but that, and `complete` makes up for it.
    Keras' ModelCheckpoint and CSVLogger write in place: a process killed meanwhile leaves half a file, or an epoch that comes
    twice. An epoch whose loss is not finite is not recorded. `fit` must be given `validation_data`, and callbacks that change
    the model while it trains must stand before this one, those that read what it adds to the logs behind it.

    Args:
        history: the `History` of the run, filled by this callback.
        last: path of the last checkpoint.
        best: path of the one with the highest `val_top1`.
        csv: path of the CSV file.
        figures: callbacks that add figures of the training to the logs in their `on_epoch_end`. They are called before the
            validation, so that the checkpoint has what they measured; do not give them to `fit` as well.
    """

    def __init__(
        self, history: History, last: Path, best: Path, csv: Path, figures: Iterable[keras.callbacks.Callback] = ()
    ) -> None:
        super().__init__()
        self.history = history
        self.last = last
        self.best = best
        self.csv = csv
        self.figures = figures

    def set_model(self, model: keras.Model) -> None:
        """Of the figures as well."""
        super().set_model(model)
        for callback in self.figures:
            callback.set_model(model)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Make what follows from the history agree with it: the process may have died between two of the files."""
        self.write_followers()
        for callback in self.figures:
            callback.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Let the figures begin."""
        self._epoch = epoch
        for callback in self.figures:
            callback.on_epoch_begin(epoch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Keep what the epoch has trained."""
        logs = {name: float(value) for name, value in self.model.get_metrics_result().items()}
        of_keras = set(logs)
        for callback in self.figures:
            callback.on_epoch_end(self._epoch, logs)
        self._added = {name: value for name, value in logs.items() if name not in of_keras}
        if math.isfinite(logs["loss"]):
            self.history.append_trained(self._epoch, logs)
            checkpoint.save(self.model, self.last, self.history)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Record the epoch."""
        logs.update(self._added)
        if math.isfinite(logs["loss"]):
            self._append(epoch, logs)

    def complete(self, validate: Callable[[], dict[str, float]]) -> None:
        """Record the epoch in whose validation the run was stopped, if there is one.

        Args:
            validate: the function that gives the figures of the validation, `loss` and so on.
        """
        trained = self.history.unvalidated
        if trained:
            logs = {name: value for name, value in trained.items() if name != "epoch"}
            self._append(trained["epoch"], logs | {f"val_{name}": value for name, value in validate().items()})

    def save_within(self, steps: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Write the last checkpoint in the middle of an epoch.

        Args:
            steps: those of the epoch that are done.
            metrics: values of the variables of the metrics, by names of their own.
        """
        self.history.steps = steps
        states = {f"figures/{i}/{name}": array for i, each in self._stateful() for name, array in each.state().items()}
        checkpoint.save(self.model, self.last, self.history, {**metrics, **states})

    def restore_within(self, within: Mapping[str, np.ndarray]) -> None:
        """Give the figures what `save_within` kept of them; after their `on_epoch_begin`."""
        for i, figure in self._stateful():
            start = f"figures/{i}/"
            figure.restore({name.removeprefix(start): array for name, array in within.items() if name.startswith(start)})

    def write_followers(self) -> None:
        """Write the best checkpoint and the CSV file as the history has them."""
        if not self.history.epochs or not self.last.exists():
            return
        # Weights from within an epoch are not those that its rows tell of.
        if not self.history.steps and self.history.best_epoch() == self.history.rows[-1]["epoch"]:
            checkpoint.copy(self.last, self.best)
        self.history.write_csv(self.csv)

    def _stateful(self):
        named = ((type(figure).__name__, figure) for figure in self.figures)
        return [(name, figure) for name, figure in named if isinstance(figure, WithinEpoch)]

    def _append(self, epoch, logs):
        self.history.append(epoch, logs)
        checkpoint.update(self.last, self.history)
        self.write_followers()
