"""XNOR-Net (Rastegari et al. 2016, arXiv:1603.05279): weights and inputs of one bit."""

import contextlib
import math
from typing import Any

from tfq import ste, sums
from tfq.backend.gradients import custom_gradient, promote
from tfq.backend.keras import Tensor, keras, ops
from tfq.quantizers import grids
from tfq.quantizers.base import Configured, InputQuantizer, KernelQuantizer, Quantizer, check_flag, register


@register
class ClippedGradient(Configured):
    """Plain clipped straight-through estimator: the scale alpha is left out of the gradient.

    dC/dW_i := g_i [|W_i| <= 1]
    """

    def __call__(self, upstream: Tensor, w: Tensor, signs: Tensor, alpha: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Gradient for the latent weights `w` from the `upstream` gradient of the quantized ones."""
        return upstream * ste.inside(w, -1, 1)


@register
class PaperGradient(Configured):
    """The gradient as the paper prints it, element by element.

        dC/dW_i := g_i (1/n + alpha [|W_i| <= 1])

    XNOR-Net, section 3.1 (the unnumbered equation on training); n is the number of weights of a filter.
    """

    def __call__(self, upstream: Tensor, w: Tensor, signs: Tensor, alpha: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Gradient for the latent weights `w` from the `upstream` gradient of the quantized ones."""
        n = math.prod(w.shape[axis] for axis in axes)
        return upstream * (1.0 / n + alpha * ste.inside(w, -1, 1))


@register
class ExactGradient(Configured):
    """The gradient through alpha(W) sign(W), with alpha differentiated and the sign's clipped STE.

        dC/dW_i := (sign(W_i) / n) sum_j sign(W_j) g_j + alpha [|W_i| <= 1] g_i

    The sum runs over the n weights of the filter: product rule on W~ = alpha sign(W) of XNOR-Net, section 3.1, with
    d alpha / d W_i = sign(W_i) / n. At W_i = 0 it takes sign(0) = +1, where autodiff of |W| takes 0.
    """

    def __call__(self, upstream: Tensor, w: Tensor, signs: Tensor, alpha: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Gradient for the latent weights `w` from the `upstream` gradient of the quantized ones."""
        through_alpha = signs * sums.mean(signs * upstream, axes)
        return through_alpha + alpha * ste.inside(w, -1, 1) * upstream


def _centred(w, channel_axis):
    rank = len(w.shape)
    # Kernels end with their input and output channels, in either order.
    axes = tuple(axis for axis in grids.filter_axes(rank, channel_axis) if axis >= rank - 2)
    if not axes:
        raise ValueError(
            f"XnorWeights: center=True takes the mean over the input channels off, and a filter of this kernel has one alone: "
            f"its shape is {tuple(w.shape)}, the filters are counted by axes {channel_axis}"
        )

    @custom_gradient
    def call(w):
        # A projection, whose gradient is itself; left to the backend, its sum would be one that loses bits.
        return w - sums.mean(w, axes), lambda upstream: upstream - sums.mean(upstream, axes)

    return call(w)


def _scaled_sign(w, axes, gradient):
    @custom_gradient
    def call(w):
        alpha = sums.mean(ops.abs(w), axes)
        signs = ste.sign(w)

        def grad(upstream):
            return gradient(upstream, w, signs, alpha, axes)

        return alpha * signs, grad

    return call(w)


def _estimator(gradient):
    if gradient is None:
        return ExactGradient()
    found = gradient
    if isinstance(gradient, dict):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            found = keras.saving.deserialize_keras_object(gradient)
    if not isinstance(found, Configured) or isinstance(found, Quantizer):
        raise ValueError(
            f"XnorWeights: gradient must be ExactGradient(), PaperGradient() or ClippedGradient(); got gradient={gradient!r}"
        )
    return found


@register
class XnorWeights(KernelQuantizer):
    """Binary weights with one scale per filter.

        W~ = alpha sign(W),   alpha = mean |W| over the filter

    XNOR-Net, section 3.1, equations 5 and 6. The gradient is that of `gradient`, by default `ExactGradient()`. A filter of
    zeros gives zeros. NaN anywhere in a filter makes its alpha, and so the filter, NaN.

    Half-precision kernels are quantized in float32 and cast back.

    Args:
        gradient: `ExactGradient()`, `PaperGradient()` or `ClippedGradient()`.
        center: subtract from the latent weights their mean over the input channels first, separately at each tap, as the
            authors' code does (it is not in the paper). Differentiated.
        clip: clip the latent weights (after centring) to [-1, 1] first, with gradient 1 on the closed interval.
    """

    bits = 1

    def __init__(self, gradient: Configured | dict[str, Any] | None = None, center: bool = False, clip: bool = False) -> None:
        self.gradient = _estimator(gradient)
        self.center = check_flag(center, "XnorWeights", "center")
        self.clip = check_flag(clip, "XnorWeights", "clip")

    def __call__(self, x: Tensor, channel_axis: int | tuple[int, ...] = -1) -> Tensor:
        """Quantize the kernel `x`; `channel_axis` as in `KernelQuantizer`."""
        w = promote(x, "float32")
        if self.center:
            w = _centred(w, channel_axis)
        if self.clip:
            w = ste.clip_inclusive(w)
        return ops.cast(_scaled_sign(w, grids.filter_axes(len(w.shape), channel_axis), self.gradient), x.dtype)

    def grid(self) -> grids.Grid:
        """Signs; alpha is their scale."""
        return grids.Sign()

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as JSON values."""
        gradient = keras.saving.serialize_keras_object(self.gradient)
        return {"gradient": gradient, "center": self.center, "clip": self.clip}


@register
class XnorInputs(InputQuantizer):
    """Binary activations: the sign, with the clipped straight-through estimator.

        q = +1 if x >= 0 else -1,   dq/dx := [|x| <= 1]

    XNOR-Net, section 3.2. The scale K of the inputs is an option of the convolution (`QuantConv2D(kmap=True)`), since it is
    multiplied after it. No ReLU may stand in front: it would make every value +1. NaN gives -1.
    """

    bits = 1
    is_elementwise = True
    is_clipped_sign = True

    def __call__(self, x: Tensor) -> Tensor:
        """Quantize `x`, of any shape."""
        return ste.ste_sign(x)

    def window(self) -> tuple[float, float]:
        """Of the clipped straight-through estimator."""
        return -1.0, 1.0

    def grid(self) -> grids.Grid:
        """Signs."""
        return grids.Sign()
