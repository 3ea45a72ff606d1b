"""What is known of the values in front of a layer, and what its quantizer of inputs needs of them."""

import enum
from typing import Any

from tfq.backend.keras import keras
from tfq.convert.quantize.steps import Step
from tfq.convert.quantize.wrapped import unwrapped
from tfq.quantizers.base import Quantizer
from tfq.quantizers.grids import Levels, Sign, Ternary

_SIZES = ("1D", "2D", "3D")
_NORMALIZE = {"BatchNormalization", "SyncBatchNormalization", "LayerNormalization", "GroupNormalization"}
_SUMS = {"Add", "Subtract", "Average", "Concatenate"}
_MAXIMA = {"Maximum", "Max", "MaxPool", *(f"{kind}{size}" for kind in ("MaxPooling", "GlobalMaxPooling") for size in _SIZES)}
# Values pass through these, or become 0.
_KEEP = {
    *("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "Identity", "ActivityRegularization", "QuantGradient"),
    *("Flatten", "Reshape", "Permute", "RepeatVector", "Transpose", "Squeeze", "ExpandDims"),
    *(f"{kind}{size}" for kind in ("SpatialDropout", "ZeroPadding", "Cropping", "UpSampling") for size in _SIZES),
}
# Functions whose values have the sign of their argument, at least near 0.
_KEEP_SIGNS = {
    *("linear", "tanh", "hard_tanh", "softsign", "tanh_shrink", "silu", "swish", "hard_silu", "hard_swish", "gelu", "mish"),
    *("leaky_relu", "elu", "selu", "celu", "LeakyReLU", "PReLU", "ELU"),
}
_RELU = {"relu", "relu6", "ReLU"}


class Range(enum.IntEnum):
    """What values are like in training."""

    UNKNOWN = 0
    UNIT = 1  # near 1 in size, of any sign
    CENTRED = 2  # near 1 in size, around 0


def needed(quantizer: Any) -> Range:
    """What values must be like so that `quantizer` makes more than one of them.

    A sign needs both sides of 0, fixed levels the right size. A quantizer that learns its step needs nothing; of one that does
    not tell its grid nothing is known.
    """
    if not isinstance(quantizer, Quantizer) or quantizer.is_off:
        return Range.UNKNOWN
    grid = quantizer.grid()
    if isinstance(grid, Sign | Ternary):
        return Range.CENTRED
    return Range.UNIT if isinstance(grid, Levels) else Range.UNKNOWN


def ranges(steps: list[Step], dropped: set[int] = frozenset()) -> list[Range]:  # type: ignore[assignment]
    """What each step gives.

    Args:
        steps: of the model.
        dropped: `id` of nodes whose input passes through.
    """
    found: list[Range] = []
    for step in steps:
        given = [found[source] for source in step.sources]
        found.append(given[0] if id(step.node) in dropped else _behind(step, given))
    return found


def is_relu(layer: Any) -> bool:
    """Whether a layer does nothing but cut off what is below 0."""
    if function_of(layer) not in _RELU:
        return False
    return not float(getattr(unwrapped(layer), "negative_slope", 0) or 0)


def keeps_values(layer: Any) -> bool:
    """Whether what comes out of a layer are values that went in, or zeros."""
    return type(unwrapped(layer)).__name__ in _KEEP


def function_of(layer: Any) -> str:
    """Name of the function that a layer without weights applies to each value: that of an `Activation`, or its class."""
    layer = unwrapped(layer)
    if isinstance(layer, keras.layers.Activation):
        return str(getattr(layer.activation, "__name__", type(layer.activation).__name__))
    return type(layer).__name__


def _behind(step, given):
    name = type(unwrapped(step.layer)).__name__
    if name in _NORMALIZE:
        return Range.CENTRED
    if not given or (name in _SUMS and len(given) < 2):  # x + 3
        return Range.UNKNOWN
    worst = min(given)
    if name in _SUMS or keeps_values(step.layer) or function_of(step.layer) in _KEEP_SIGNS:
        return worst
    return min(worst, Range.UNIT) if name in _MAXIMA or is_relu(step.layer) else Range.UNKNOWN
