"""Stop a run that has failed, and say why."""

import math

from tfq.backend.keras import Logs, keras
from tfq.training.history import History

# Accuracy up to so many standard errors above chance counts as chance; guesses are beyond once in 700 epochs.
_STANDARD_ERRORS = 3


class StopOnNaN(keras.callbacks.TerminateOnNaN):
    """Keras' own check of the loss after each batch, with a reason that says what happened."""

    reason = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Note the reason."""
        if not math.isfinite(logs["loss"]):
            self.reason = (
                f"the loss became {logs['loss']} in epoch {epoch}: the checkpoint before it is kept; "
                "try a lower --lr, or more bits"
            )


class StopOnCollapse(keras.callbacks.Callback):
    """Stops when the training accuracy has fallen back to chance, or has never left it.

    Fallen back: `patience` epochs in a row at chance after one above it, of at least twice chance, or half-way from chance to 1
    where that is less. Never left: `start_patience` epochs at chance from the start. An epoch is at chance unless a test rejects
    it, which few images cannot do beyond half-way to 1:

        accuracy <= min(c + 3 sqrt(c (1 - c) / num_images), (1 + c) / 2),   c = 1 / num_classes

    Nothing is stopped where there is one class alone.

    Args:
        history: the `History` of the run; it holds the epochs from before a restart too.
        num_classes: number of classes.
        num_images: images behind the accuracy of an epoch.
        patience: see above.
        start_patience: see above.

    Raises:
        ValueError: there is no class, or no image.
    """

    def __init__(
        self, history: History, num_classes: int, num_images: int = 10_000, patience: int = 3, start_patience: int = 10
    ) -> None:
        super().__init__()
        if num_classes < 1 or num_images < 1:
            raise ValueError(f"expected classes and images; got num_classes={num_classes}, num_images={num_images}")
        self.history = history
        self.chance = 1.0 / num_classes
        self.num_images = num_images
        self.patience = patience
        self.start_patience = start_patience
        self.reason: str | None = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Look at the accuracies so far; this callback must come after the one that fills the history."""
        accuracies = self.history.column("top1")
        if not accuracies or self.chance == 1:  # the loss of the first epoch was not finite; or every guess is right
            return
        has_risen = max(accuracies) >= min(2 * self.chance, self._half_way()) and max(accuracies) > self._highest_chance()
        patience = self.patience if has_risen else self.start_patience
        latest = accuracies[-patience:]
        if len(latest) == patience and max(latest) <= self._highest_chance():
            what = "has collapsed to" if has_risen else "has never left"
            self.reason = (
                f"training accuracy {what} chance ({latest[-1]:.1%} with {1 / self.chance:.0f} classes, {patience} epochs in "
                "a row): try a lower --lr, or start with --init_from a float run (--nostop_on_collapse goes on all the same)"
            )
            self.model.stop_training = True

    def _highest_chance(self):
        error = math.sqrt(self.chance * (1 - self.chance) / self.num_images)
        return min(self.chance + _STANDARD_ERRORS * error, self._half_way())

    def _half_way(self):
        return (1 + self.chance) / 2
