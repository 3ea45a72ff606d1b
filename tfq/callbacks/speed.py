"""The figures of time that only the run can know."""

import time
from collections.abc import Mapping

import numpy as np

from tfq.backend.keras import Logs, keras
from tfq.data.batches import Batches
from tfq.training.optimizers import current_rate


class Speed(keras.callbacks.Callback):
    """Adds to the logs how fast an epoch was trained.

    `learning_rate` (at the end of the epoch), `seconds` and `images_per_second`, and `load_share`: the time spent making batches
    over that of the epoch, an upper bound of what training waits for data. Of training alone where `Record` asks for them, which
    does so before the validation.

    Args:
        batches: the training `tfq.data.Batches`.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clocks."""
        self.batches.reset_timer()
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Read them."""
        seconds = time.perf_counter() - self._started
        logs["learning_rate"] = current_rate(self.model.optimizer)
        logs["seconds"] = seconds
        logs["images_per_second"] = self.batches.num_images / seconds
        logs["load_share"] = self.batches.seconds / seconds

    def state(self) -> dict[str, np.ndarray]:
        """The seconds so far."""
        return {"seconds": np.array(time.perf_counter() - self._started)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Count those of an earlier process too."""
        self._started -= float(state["seconds"])
