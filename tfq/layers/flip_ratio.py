"""The share of a kernel's levels that a step of the training changes, as a metric of its layer."""

from typing import Any

import numpy as np

from tfq import metrics
from tfq.backend.keras import SHARED_STATE, UNCAST, Tensor, keras, ops
from tfq.backend.metrics import can_be_read
from tfq.layers.kernel import QuantizedKernel
from tfq.quantizers import grids


class FlipCounter(keras.layers.Layer):
    """What the flip ratio of one kernel needs from step to step; no weights, so that saved ones are those without it.

    Args:
        kernel: the kernel.
        **kwargs: as in `keras.layers.Layer`.
    """

    def __init__(self, kernel: QuantizedKernel, **kwargs: Any) -> None:
        super().__init__(trainable=False, autocast=False, **kwargs)
        self._levels_of = _levels(kernel)
        kept = {"trainable": False, "initializer": "zeros", **SHARED_STATE, **UNCAST}
        self._previous = self.add_weight(name="previous", shape=tuple(kernel.latent.shape), dtype="int32", **kept)
        self._total = self.add_weight(name="total", shape=(), dtype="float32", **kept)
        self._count = self.add_weight(name="count", shape=(), dtype="float32", **kept)
        self.built = True

    @property
    def weights(self) -> list[Any]:
        """None."""
        return []

    @property
    def non_trainable_weights(self) -> list[Any]:
        """None."""
        return []

    def save_own_variables(self, store: Any) -> None:
        """Nothing is saved."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing is read."""

    def observe(self, kernel: QuantizedKernel) -> None:
        """Count the levels that have changed."""
        metrics.update(self._previous, self._total, self._count, self._levels_of(kernel.quantized))

    def result(self) -> Tensor:
        """The flip ratio since the last reset; NaN where it is not known, in the batches of an epoch on JAX."""
        if not can_be_read(self._count):
            return ops.convert_to_tensor(np.float32("nan"))
        return metrics.mean(self._total, self._count)

    def reset(self) -> None:
        """Begin again, with the levels that were seen last."""
        self._total.assign(np.float32(0))
        self._count.assign(np.float32(0))


def watch(layer: Any) -> dict[str, FlipCounter]:
    """Give a built layer a flip ratio for each kernel that is quantized.

    Args:
        layer: a `QuantizedLayer`.

    Returns:
        What counts, by the names of the kernels.
    """
    counters = {}
    several = len(layer.kernels) > 1
    for kernel in layer.kernels:
        if kernel.quantizer is not None:
            operand = kernel.place.operand
            name = f"flip_ratio/{layer.name}/{operand}" if several else f"flip_ratio/{layer.name}"
            counter = counters[kernel.name] = FlipCounter(kernel, name=f"{layer.name}_{operand}_flips")
            setattr(layer, f"_{operand}_flip_ratio", metrics.View(name, counter.result, counter.reset))
    return counters


def _levels(kernel):
    """What makes integers of the quantized kernel."""
    grid = kernel.grid
    if isinstance(grid, grids.Levels):
        n = 2**grid.bits - 1
        return lambda values: ops.round((values - grid.low) * (n / (grid.high - grid.low)))
    if isinstance(grid, grids.Integers):
        raise ValueError(f"flip_ratio: levels of {kernel.quantizer!r} are no signs, ternary values or fixed levels")
    # Of what does not tell its grid, values are counted as larq does, as integers.
    return ops.sign if grid is not None else lambda values: values
