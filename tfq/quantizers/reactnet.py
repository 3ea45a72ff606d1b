"""ReActNet (Liu et al. 2020, arXiv:2003.03488): signs with a threshold a channel that is trained."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfq import ste
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, ops
from tfq.quantizers import grids
from tfq.quantizers.base import InputQuantizer, check_axis, register


@register
class RSignInputs(InputQuantizer):
    """Binary activations: the sign of the distance from a trained threshold alpha_c, one a channel.

        q = +1 if x - alpha_c >= 0 else -1
        dC/dx_i     := g_i p(x_i - alpha_c),   p(u) = max(2 - 2 |u|, 0)
        dC/dalpha_c := -sum of g_i p(x_i - alpha_c) over the channel

    RSign of ReActNet, section 4.2. p is the derivative of Bi-Real Net's polynomial (arXiv:1808.00278), as in the
    authors' code. The thresholds start from 0. `tfq.layers.RPReLU` is the other half of the method. Its kernels are
    `XnorWeights(gradient=ClippedGradient())`. Half-precision inputs are compared in float32. NaN gives -1.

    Args:
        axis: of the channels; as in Keras' batch normalization.

    Raises:
        ValueError: it is no integer.
    """

    bits = 1

    def __init__(self, axis: int = -1) -> None:
        self.axis = check_axis(axis, "RSignInputs")

    def build(self, add_weight: Callable, shape: tuple) -> dict[str, Any]:
        """A threshold a channel."""
        rank = len(shape)
        if not -rank <= self.axis < rank or shape[self.axis] is None:
            raise ValueError(f"{self!r} needs inputs with a known number of channels; got inputs of shape {tuple(shape)}")
        channel = self.axis % rank
        threshold = tuple(size if axis == channel else 1 for axis, size in enumerate(shape))
        return {"threshold": add_weight("threshold", shape=threshold)}

    def __call__(self, x: Tensor, threshold: Tensor | None = None) -> Tensor:
        """Quantize `x`, (batch, ...)."""
        self.check_state(threshold, "thresholds")
        full = promote(x, "float32")
        return ops.cast(_sign_above(full, ops.cast(threshold, full.dtype), self.axis), x.dtype)

    def grid(self, **state: Tensor) -> grids.Grid:
        """Signs."""
        return grids.Sign()

    def affine(self, threshold: Tensor | None = None) -> tuple[float, Any]:
        """A shift a channel.

        Raises:
            TypeError: the channels are not the last axis.
        """
        self.check_state(threshold, "thresholds")
        shift = -np.asarray(ops.convert_to_numpy(threshold))
        if shift.shape[-1] != shift.size:
            raise TypeError(f"its inputs are quantized by {self!r}; supported are thresholds of the last axis")
        return 1.0, shift.ravel()

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        return {"axis": self.axis}


def _sign_above(x, threshold, axis):
    others = tuple(each for each in range(1, len(x.shape)) if each != axis % len(x.shape))

    @custom_gradient
    def call(x, threshold):
        distance = x - threshold

        def grad(upstream):
            by_x = upstream * ops.maximum(2.0 - 2.0 * ops.abs(distance), 0.0)
            # Image by image first: a long sum loses bits.
            by_image = ops.sum(by_x, axis=others, keepdims=True) if others else by_x
            return by_x, -ops.sum(by_image, axis=0, keepdims=True)

        return ste.sign(distance), grad

    return call(x, threshold)
