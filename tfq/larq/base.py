"""What larq's quantizers have in common: their base, and the metrics that they ask their layer for."""

import functools
from collections.abc import Iterable
from typing import Any

from tfq.backend.keras import Shape, Tensor
from tfq.quantizers import base
from tfq.quantizers.base import FULL_PRECISION, check_bits, register

# Saved models tell larq's classes from those of the same name in `tfq.quantizers` by this.
register_larq = functools.partial(register, package="larq")


class Quantizer(base.Quantizer):
    """The base of quantizers of one's own: a subclass has a `precision`, in bits, and a `call(inputs)`.

    Keras must know the class to read saved models: `tfq.larq.utils.register_keras_custom_object`. A quantizer of larq is a layer,
    this one is not: it takes no `name` and no `dtype`, and one that keeps variables is written as `docs/extending.md` tells.

    Attributes:
        precision: bits of the output; None where it is not known.
    """

    precision: int | None = None

    @property
    def bits(self) -> int:
        """The precision; 32 where it is not known."""
        return FULL_PRECISION if self.precision is None else self.precision

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`."""
        return self.call(x)

    def call(self, inputs: Tensor) -> Tensor:
        """Quantize `inputs`."""
        raise NotImplementedError(f"{type(self).__name__} has no call(inputs)")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs."""
        return input_shape


class WithMetrics(base.Quantizer):
    """A quantizer that asks the layer whose kernel it quantizes for metrics.

    Args:
        metrics: their names, such as `["flip_ratio"]`.
    """

    def __init__(self, *args: Any, metrics: Iterable[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.metrics = None if metrics is None else list(metrics)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {**super().get_config(), **({} if self.metrics is None else {"metrics": self.metrics})}


@register_larq
class NoOp(WithMetrics):
    """Passes its operand on, and says its precision: to `Bop`, to the summary, and to the export.

        q = x,   dq/dx = 1

    Args:
        precision: bits that the weights have by themselves.
        metrics: names of metrics of the kernel, such as `["flip_ratio"]`.
    """

    def __init__(self, precision: int, metrics: Iterable[str] | None = None) -> None:
        super().__init__(metrics=metrics)
        self.bits = check_bits(precision, "NoOp")

    def __call__(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {**super().get_config(), "precision": self.precision}
