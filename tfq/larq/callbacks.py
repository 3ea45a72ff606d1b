"""larq's callback."""

import inspect
from collections.abc import Callable
from typing import Any

from tfq.backend.keras import Logs, keras, ops

__all__ = ["HyperparameterScheduler"]


class HyperparameterScheduler(keras.callbacks.Callback):
    """Sets a hyperparameter of an optimizer by a schedule, and logs it.

        HyperparameterScheduler(lambda epoch: 0.001 * 0.1 ** (epoch // 30), "gamma", bop)

    Args:
        schedule: takes the index of the epoch, or of the step, from 0, and gives the value; one with a second parameter takes
            the present value too.
        hyperparameter: name of the attribute, such as `"gamma"` or `"learning_rate"`.
        optimizer: the optimizer; None for that of the model.
        update_freq: `"epoch"` or `"step"`.
        verbose: 1 prints each value.
        log_name: its name in the logs; None for that of the hyperparameter.

    Raises:
        ValueError: `update_freq` is another; at the beginning of `fit`: the optimizer has no such attribute, or a schedule of
            Keras gives its values.
    """

    def __init__(
        self,
        schedule: Callable[..., Any],
        hyperparameter: str,
        optimizer: Any = None,
        update_freq: str = "epoch",
        verbose: int = 0,
        log_name: str | None = None,
    ) -> None:
        super().__init__()
        if update_freq not in ("epoch", "step"):
            raise ValueError(f"update_freq must be 'epoch' or 'step'; got update_freq={update_freq!r}")
        self.schedule = schedule
        self.hyperparameter = hyperparameter
        self.optimizer = optimizer
        self.update_freq = update_freq
        self.verbose = verbose
        self.log_name = log_name or hyperparameter
        self._takes_value = _takes_two(schedule)

    def set_model(self, model: Any) -> None:
        """As in Keras; the optimizer must have the hyperparameter."""
        super().set_model(model)
        if self.optimizer is None:
            self.optimizer = model.optimizer
        if not hasattr(self.optimizer, self.hyperparameter):
            hint = "; Keras 3 calls it 'learning_rate'" if self.hyperparameter == "lr" else ""
            raise ValueError(f"{type(self.optimizer).__name__} has no hyperparameter {self.hyperparameter!r}{hint}")
        if not hasattr(getattr(self.optimizer, self.hyperparameter), "assign"):
            raise ValueError(f"{self.hyperparameter!r} of {type(self.optimizer).__name__} is given by a schedule of its own")

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Set the value of a step, by the number of steps that the optimizer has made."""
        if self.update_freq == "step":
            _ = self.model  # on JAX the variables have their values only then
            self._set("Batch", int(ops.convert_to_numpy(self.optimizer.iterations)))

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the value of an epoch."""
        if self.update_freq == "epoch":
            self._set("Epoch", epoch)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Log the value."""
        if logs is not None:
            logs[self.log_name] = self._value()

    def _set(self, what, index):
        value = self.schedule(index, self._value()) if self._takes_value else self.schedule(index)
        getattr(self.optimizer, self.hyperparameter).assign(value)
        if self.verbose > 0:
            print(f"{what} {index}: {self.log_name} is now {self._value()}.")

    def _value(self):
        return float(ops.convert_to_numpy(getattr(self.optimizer, self.hyperparameter)))


def _takes_two(schedule):
    """Whether the schedule takes the present value beside the index."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    return True
