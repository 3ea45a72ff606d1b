"""Stops a run that is about to be killed, so that it loses no step."""

from collections.abc import Callable, Mapping

import numpy as np

from tfq.backend.keras import Logs, keras, ops
from tfq.backend.metrics import variables
from tfq.callbacks.record import Record
from tfq.data.batches import Steps
from tfq.distribute.sigterm import Preempted


class Preemption(keras.callbacks.Callback):
    """When it is asked to stop, writes a checkpoint between two steps and raises `Preempted`; a later run goes on behind it.

    Beside weights and optimizer the checkpoint holds the sums of the metrics, and what the figures of `Record` keep of the
    epoch's beginning. The last step of an epoch is followed by the checkpoint that `Record` writes, which is then the one.
    Stands behind `Record`.

    Args:
        record: the `Record` of the run.
        steps: the steps of training, as `tfq.data.feeding` gives them.
        batch_size: images a step.
        first: steps of the first epoch that an earlier process has trained.
        within: what its checkpoint holds of them, by `tfq.training.checkpoint.read_within`.
        is_asked: says whether to stop, at the end of each step.
    """

    def __init__(
        self,
        record: Record,
        steps: Steps,
        batch_size: int,
        first: int,
        within: Mapping[str, np.ndarray],
        is_asked: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.record = record
        self.steps = steps
        self.batch_size = batch_size
        self.first = first
        self.within = within
        self.is_asked = is_asked
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Go on with the sums of the metrics."""
        self._epoch = epoch
        if self.first:
            for place, variable in enumerate(variables(self.model)):
                variable.assign(self.within[f"metrics/{place}"])
            self.record.restore_within(self.within)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Stop here, unless the epoch ends anyway."""
        seen = self.steps.seen(batch)
        if seen == self.steps.num_images or not self.is_asked():
            return
        steps = self.first + -(-seen // self.batch_size)
        metrics = {f"metrics/{place}": ops.convert_to_numpy(variable) for place, variable in enumerate(variables(self.model))}
        self.record.save_within(steps, metrics)
        raise Preempted(f"stopped by SIGTERM in epoch {self._epoch}, after step {steps}")

    def on_test_begin(self, logs: Logs = None) -> None:
        """Stop here, with the checkpoint that is just written."""
        self._stop_in_validation()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Stop here: the validation is done anew."""
        self._stop_in_validation()

    def _stop_in_validation(self):
        if self.is_asked():
            raise Preempted(f"stopped by SIGTERM in the validation of epoch {self._epoch}")
