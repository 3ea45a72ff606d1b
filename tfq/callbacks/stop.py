"""Stop a run that has failed, and say why."""

import math

from tfq.compat import keras

# Accuracy up to this multiple of chance counts as chance.
_NEAR_CHANCE = 1.2


class StopOnNaN(keras.callbacks.TerminateOnNaN):
    """Keras' own check of the loss after each batch, with a reason that says what happened."""

    reason = None

    def on_epoch_end(self, epoch, logs=None):
        """Note the reason."""
        if not math.isfinite(logs["loss"]):
            self.reason = (
                f"the loss became {logs['loss']} in epoch {epoch}: the checkpoint before it is kept; "
                "try a lower --lr, or more bits"
            )


class StopOnCollapse(keras.callbacks.Callback):
    """Stops when the training accuracy has fallen back to chance, or has never left it.

    Fallen back: `patience` epochs in a row at chance after an epoch of at least twice chance. Never left: `start_patience`
    epochs at chance from the start. Chance is 1 / num_classes, and 1.2 times that still counts as chance.

    Args:
        history: the `History` of the run; it holds the epochs from before a restart too.
        num_classes: number of classes.
        patience: see above.
        start_patience: see above.
    """

    def __init__(self, history, num_classes, patience=3, start_patience=10):
        super().__init__()
        self.history = history
        self.chance = 1.0 / num_classes
        self.patience = patience
        self.start_patience = start_patience
        self.reason = None

    def on_epoch_end(self, epoch, logs=None):
        """Look at the accuracies so far; this callback must come after the one that fills the history."""
        accuracies = self.history.column("top1")
        if not accuracies:  # the loss of the first epoch was not finite
            return
        has_risen = max(accuracies) >= 2 * self.chance
        patience = self.patience if has_risen else self.start_patience
        latest = accuracies[-patience:]
        if len(latest) == patience and max(latest) <= _NEAR_CHANCE * self.chance:
            what = "has collapsed to" if has_risen else "has never left"
            self.reason = (
                f"training accuracy {what} chance ({latest[-1]:.1%} with {1 / self.chance:.0f} classes, {patience} epochs in "
                "a row): try a lower --lr, or start with --init_from a float run"
            )
            self.model.stop_training = True
