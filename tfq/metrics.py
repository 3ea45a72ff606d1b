"""Metrics of the training of low-bit networks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfq.backend.keras import Shape, Tensor, keras, keras_3, ops
from tfq.backend.metrics import add_variable
from tfq.quantizers.base import register

NAMES = ("flip_ratio",)

# Those of layers that ask for none; `tfq.larq.context` fills it.
in_scope: set[str] = set()


@register
class FlipRatio(keras.metrics.Metric):
    """The mean share of the values of a tensor that differ from those of the update before.

        result = 1 / (updates - 1) * sum over all updates but the first of mean([values != values before])

    As larq's metric of this name. After a reset the first update counts no changes; the values are kept. Layers of tfq keep one
    for each kernel where they are given `metrics=["flip_ratio"]`.

    Args:
        values_dtype: dtype in which values are kept and compared; `"int8"` holds signs and ternary values.
        name: of the metric.
        dtype: of the result.
    """

    stateful = True  # progress bars show the last result, not the mean of results

    def __init__(self, values_dtype: Any = "int8", name: str = "flip_ratio", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.built = False
        self.values_dtype = keras_3.backend.standardize_dtype(values_dtype)

    def build(self, shape: Shape) -> None:
        """Add the variables for values of this shape; the first update does it where nobody has."""
        self._previous_values = add_variable(self, "previous_values", tuple(shape), self.values_dtype)
        self.total = add_variable(self, "total", (), self.dtype)
        self.count = add_variable(self, "count", (), self.dtype)
        self.built = True

    def update_state(self, values: Tensor, sample_weight: None = None) -> None:
        """Count the values that have changed.

        Raises:
            ValueError: they have another shape than those before.
        """
        if not self.built:
            self.build(values.shape)
        update(self._previous_values, self.total, self.count, values)

    def result(self) -> Tensor:
        """The mean share, 0 before there are two updates."""
        return mean(self.total, self.count)

    def reset_state(self) -> None:
        """Begin again, with the values that were seen last."""
        for variable in (self.total, self.count) if self.built else ():
            variable.assign(np.zeros((), self.dtype))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "values_dtype": self.values_dtype}


class View(keras.metrics.Metric):
    """A metric over variables that someone else keeps: it has none itself, so that Keras does not carry them twice.

    Args:
        name: of the metric.
        result: gives the result.
        reset: begins again.
    """

    def __init__(self, name: str, result: Callable[[], Tensor], reset: Callable[[], None]) -> None:
        super().__init__(name=name, dtype="float32")
        self._result, self._reset = result, reset

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: who keeps the variables updates them."""

    def result(self) -> Tensor:
        """The result."""
        return self._result()

    def reset_state(self) -> None:
        """Begin again."""
        self._reset()


def check_name(name: str) -> str:
    """The name of a metric of kernels; raise ValueError for another."""
    if name not in NAMES:
        raise ValueError(f"unknown metric {name!r} of a kernel; known are {', '.join(NAMES)}")
    return name


def update(previous: Any, total: Any, count: Any, values: Tensor) -> None:
    """Count in variables the values that differ from those before, and keep them; the first update counts none.

    Raises:
        ValueError: the values have another shape than `previous`.
    """
    if tuple(values.shape) != tuple(previous.shape):
        raise ValueError(f"flip ratio: values of shape {tuple(previous.shape)} were expected; got {tuple(values.shape)}")
    values = ops.cast(values, previous.dtype)
    changed = ops.mean(ops.cast(ops.not_equal(previous, values), total.dtype))
    total.assign(total + changed * ops.sign(ops.convert_to_tensor(count)))
    count.assign(count + 1)
    previous.assign(values)


def mean(total: Any, count: Any) -> Tensor:
    """What `update` has counted, per update but the first."""
    return ops.convert_to_tensor(total) / ops.maximum(ops.convert_to_tensor(count) - 1, 1)
