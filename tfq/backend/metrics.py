"""Variables of metrics: what the two Keras call them, and where they can be read."""

from typing import Any

import numpy as np

from tfq.backend.keras import SHARED_STATE, Shape, backend, is_legacy


def add_variable(metric: Any, name: str, shape: Shape, dtype: str) -> Any:
    """A variable of a metric, 0 at first, and the same on all replicas of a distribution strategy."""
    add = metric.add_weight if is_legacy else metric.add_variable
    return add(name=name, shape=shape, dtype=dtype, initializer="zeros", **SHARED_STATE)


def can_be_read(variable: Any) -> bool:
    """Whether the variable of a layer has a value here: in the steps of `fit` on JAX, metrics see their own variables alone."""
    return backend != "jax" or variable._value is not None


def variables(model: Any) -> list[Any]:
    """The variables of the metrics that a compiled model keeps, its loss included."""
    return [variable for metric in model.metrics for variable in metric.variables] if is_legacy else model.metrics_variables


def build(model: Any) -> None:
    """Let loss and metrics of a compiled classifier of Keras 3 make their variables, which Keras makes of the first batch."""
    labels = np.zeros(1, np.int32)
    logits = np.zeros((1, *model.output_shape[1:]), np.float32)
    weights = np.ones(1, np.float32)
    model.compute_loss(None, labels, logits, weights)
    model.compute_metrics(None, labels, logits, weights)
    model.reset_metrics()
