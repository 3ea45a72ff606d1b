"""What a quantizer keeps for one layer."""

from typing import Any

from tfq.backend import replicas
from tfq.backend.gradients import read
from tfq.backend.keras import UNCAST, Shape, Tensor, is_legacy, keras, ops
from tfq.quantizers.base import KernelQuantizer, Quantizer


class QuantizerState(keras.layers.Layer):
    """The variables of a quantizer, as a layer inside the layer that they belong to.

    Keras' own convolutions and dense layers write their kernel and bias alone into a file, but each layer inside them too.

    Args:
        quantizer: the quantizer.
        channel_axis: the axes of a kernel that count its filters; None for another operand.
        **kwargs: as in `keras.layers.Layer`.
    """

    def __init__(self, quantizer: Quantizer, channel_axis: int | tuple[int, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._quantizer = quantizer
        self._axes = _axes(quantizer, channel_axis)

    def build(self, shape: Shape) -> None:
        """Add the variables for an operand of this shape."""
        self.variables_by_name = self._quantizer.build(self._add, tuple(shape), **self._axes)
        super().build(shape)

    def observe(self, x: Tensor) -> None:
        """Show the quantizer, in training, what it will quantize; replicas agree on the mean of what they make of it."""
        if not replicas.are_several():
            self._quantizer.observe(x, **self.variables_by_name)
            return
        kept = [variable for variable in self.variables_by_name.values() if not variable.trainable]
        before = [ops.copy(read(variable)) for variable in kept]
        self._quantizer.observe(x, **self.variables_by_name)
        for variable, old in zip(kept, before, strict=True):
            new = read(variable)
            # Where nothing has changed, the mean of equal numbers could be another one.
            variable.assign(ops.where(new == old, new, replicas.mean(new)))

    def _add(self, name, shape=(), initializer="zeros", trainable=True, regularizer=None):
        # An .h5 file of tf_keras keeps a layer's weights by these names alone, those of its kernel and of its inputs together.
        unique = f"{self.name}/{name}" if is_legacy else name
        return self.add_weight(
            name=unique,
            shape=shape,
            initializer=initializer,
            trainable=trainable,
            regularizer=regularizer,
            dtype="float32",
            **UNCAST,
        )


def state_of(quantizer: Any, name: str, shape: Shape, channel_axis: int | tuple[int, ...] | None = None) -> QuantizerState | None:
    """The built state of a quantizer in a layer, or None where it keeps nothing.

    Args:
        quantizer: a quantizer, another callable, or None.
        name: of the state.
        shape: of the operand.
        channel_axis: the axes of a kernel that count its filters; None for another operand.
    """
    if not isinstance(quantizer, Quantizer) or type(quantizer).build in (Quantizer.build, KernelQuantizer.build):
        return None
    state = QuantizerState(quantizer, channel_axis, name=name, autocast=False)
    state.build(shape)
    return state if state.variables_by_name else None


def arguments(quantizer: Any, state: QuantizerState | None, channel_axis: int | tuple[int, ...] | None = None) -> dict[str, Any]:
    """What a quantizer, or what stands in its place, is called with next to its operand.

    Args:
        quantizer: as above.
        state: of `state_of`.
        channel_axis: the axes of a kernel that count its filters; None for another operand.
    """
    axes = _axes(quantizer, channel_axis)
    return axes if state is None else {**axes, **{name: read(variable) for name, variable in state.variables_by_name.items()}}


def _axes(quantizer, channel_axis):
    return {"channel_axis": channel_axis} if channel_axis is not None and isinstance(quantizer, KernelQuantizer) else {}
