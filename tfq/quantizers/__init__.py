"""Quantizers, one class per published method, and the contract that they keep."""

import functools
import types
from collections.abc import Callable
from typing import Any

from tfq.backend.keras import Tensor, keras
from tfq.quantizers import grids
from tfq.quantizers.base import (
    Configured,
    GradientQuantizer,
    InputQuantizer,
    KernelQuantizer,
    Quantizer,
    QuantizerLike,
    register_own,
    registered_own,
)
from tfq.quantizers.bi_real import ApproxSign, MagnitudeAwareSign
from tfq.quantizers.bitnet import BitNetInputs, BitNetWeights
from tfq.quantizers.dorefa import DoReFaGradients, DoReFaInputs, DoReFaWeights
from tfq.quantizers.ewgs import EWGSInputs, EWGSWeights
from tfq.quantizers.grids import filter_axes
from tfq.quantizers.heaviside import SteHeaviside
from tfq.quantizers.irnet import IRNetInputs, IRNetWeights
from tfq.quantizers.keras_ternary import KerasTernaryWeights
from tfq.quantizers.lsq import LSQInputs, LSQWeights
from tfq.quantizers.pact import PACTInputs
from tfq.quantizers.reactnet import RSignInputs
from tfq.quantizers.recu import ReCUWeights
from tfq.quantizers.reste import ReSTEInputs, ReSTEWeights
from tfq.quantizers.ste_sign import SteSign
from tfq.quantizers.ste_tern import SteTern
from tfq.quantizers.stored import Stored
from tfq.quantizers.swish_sign import SwishSign
from tfq.quantizers.ternary import TernaryWeights
from tfq.quantizers.ttq import TTQWeights
from tfq.quantizers.xnor import ClippedGradient, ExactGradient, PaperGradient, XnorInputs, XnorWeights
from tfq.ste import straight_through
from tfq.terminal import one_line

__all__ = [
    "ApproxSign",
    "BitNetInputs",
    "BitNetWeights",
    "ClippedGradient",
    "DoReFaGradients",
    "DoReFaInputs",
    "DoReFaWeights",
    "EWGSInputs",
    "EWGSWeights",
    "ExactGradient",
    "GradientQuantizer",
    "IRNetInputs",
    "IRNetWeights",
    "InputQuantizer",
    "KerasTernaryWeights",
    "KernelQuantizer",
    "LSQInputs",
    "LSQWeights",
    "MagnitudeAwareSign",
    "PACTInputs",
    "PaperGradient",
    "Quantizer",
    "RSignInputs",
    "ReCUWeights",
    "ReSTEInputs",
    "ReSTEWeights",
    "SteHeaviside",
    "SteSign",
    "SteTern",
    "Stored",
    "SwishSign",
    "TTQWeights",
    "TernaryWeights",
    "XnorInputs",
    "XnorWeights",
    "filter_axes",
    "get",
    "get_for_gradients",
    "get_for_inputs",
    "get_for_kernel",
    "grids",
    "register_quantizer",
    "serialize",
    "straight_through",
]

_BY_NAME = {
    "xnor_weights": XnorWeights,
    "xnor_inputs": XnorInputs,
    "ternary_weights": TernaryWeights,
    "dorefa_weights": DoReFaWeights,
    "dorefa_inputs": DoReFaInputs,
    "dorefa_gradients": DoReFaGradients,
    "lsq_weights": LSQWeights,
    "lsq_inputs": LSQInputs,
    "ste_sign": SteSign,
    "approx_sign": ApproxSign,
    "magnitude_aware_sign": MagnitudeAwareSign,
    "swish_sign": SwishSign,
    "ste_heaviside": SteHeaviside,
    "ste_tern": SteTern,
    "ttq_weights": TTQWeights,
    "pact_inputs": PACTInputs,
    "rsign_inputs": RSignInputs,
    "irnet_weights": IRNetWeights,
    "irnet_inputs": IRNetInputs,
    "recu_weights": ReCUWeights,
    "ewgs_weights": EWGSWeights,
    "ewgs_inputs": EWGSInputs,
    "reste_weights": ReSTEWeights,
    "reste_inputs": ReSTEInputs,
    "bitnet_weights": BitNetWeights,
    "bitnet_inputs": BitNetInputs,
    "keras_ternary_weights": KerasTernaryWeights,
}
# Other names that larq gives to quantizers, and what stands for them.
_OF_LARQ = {name: functools.partial(DoReFaInputs, 2) for name in ("dorefa_quantizer", "DoReFa")}
# All that a layer takes for its quantizers as a string, but for those of `register_quantizer`.
NAMES = (*_BY_NAME, *(cls.__name__ for cls in _BY_NAME.values()), *_OF_LARQ)


def register_quantizer(cls: type) -> type:
    """Make a quantizer of one's own known: to `get` and the layers by its name, and to Keras, which reads it from saved models.

        @tfq.quantizers.register_quantizer
        class Mine(KernelQuantizer):
            ...

    Args:
        cls: subclass of `KernelQuantizer`, `InputQuantizer` or `GradientQuantizer`.

    Returns:
        The class.

    Raises:
        TypeError: it is none.
        ValueError: another class of this name is registered.
    """
    return register_own(cls, Quantizer, "KernelQuantizer, InputQuantizer or GradientQuantizer of tfq.quantizers")


def get(identifier: QuantizerLike) -> Callable[..., Tensor] | None:
    """The quantizer that `identifier` stands for.

    Args:
        identifier: None (no quantizer), a quantizer or any other callable that Keras can save (a function, or an object with
            `get_config`), a name such as `"xnor_weights"`, `"XnorWeights"` or that of a custom object of Keras, or the dictionary
            that `serialize` gave.

    Raises:
        ValueError: the name is unknown, or its class needs arguments; the dictionary is the configuration of nothing that can
            be called; a model with the callable could not be saved; or it is none of these.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return _from_config(identifier)
    if isinstance(identifier, str):
        return _by_name(identifier)
    if _is_quantizer(identifier):
        return _that_saves(identifier)
    hint = f": call it, {identifier.__name__}(...)" if isinstance(identifier, type) else ""
    raise ValueError(f"expected a quantizer, its name, its configuration or None; got {identifier!r}{hint}")


def get_for_inputs(identifier: QuantizerLike) -> Callable[..., Tensor] | None:
    """As `get`, for the inputs of a layer.

    Raises:
        ValueError: as `get`; or it quantizes gradients, or kernels, whose scale would mix the images of a batch.
    """
    return _of(("inputs",), get(identifier), "input_quantizer must quantize inputs, such as XnorInputs() or DoReFaInputs(2)")


def get_for_gradients(identifier: QuantizerLike) -> Callable[..., Tensor] | None:
    """As `get`, for the gradient at the output of a layer.

    Raises:
        ValueError: as `get`; or it quantizes something else, which the noise of a `seed` tells.
    """
    quantizer = get(identifier)
    rule = "gradient_quantizer must quantize gradients, with noise of a seed, such as DoReFaGradients(6)"
    if quantizer is not None and not hasattr(quantizer, "seed"):
        raise ValueError(f"{rule}; got {quantizer!r}")
    return _of(("gradient",), quantizer, rule)


def get_for_kernel(identifier: QuantizerLike, argument: str = "kernel_quantizer") -> Callable[..., Tensor] | None:
    """As `get`, for a kernel of a layer; quantizers of inputs that keep nothing serve too.

    Args:
        identifier: as in `get`.
        argument: what the layer calls it, for errors.

    Raises:
        ValueError: as `get`; or it quantizes gradients, or keeps what it learns of inputs.
    """
    quantizer = get(identifier)
    keeps_nothing = getattr(type(quantizer), "build", Quantizer.build) is Quantizer.build
    return _of(
        ("kernel", "inputs") if keeps_nothing else ("kernel",),
        quantizer,
        f"{argument} must quantize kernels, such as XnorWeights() or DoReFaWeights(2)",
    )


def _of(operands, quantizer, rule):
    """`quantizer`, unless it says that it quantizes something else."""
    if getattr(quantizer, "operand", None) not in (None, *operands):
        raise ValueError(f"{rule}; got {quantizer!r}")
    return quantizer


def _is_quantizer(identifier):
    # `XnorWeights` has options that can be called too, its gradients.
    of_kind = isinstance(identifier, Quantizer) or not isinstance(identifier, Configured)
    return callable(identifier) and not isinstance(identifier, type) and of_kind


def _from_config(config):
    try:
        quantizer = keras.saving.deserialize_keras_object(config)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"expected the configuration of a quantizer; got {config!r}: {one_line(error)}") from error
    if not _is_quantizer(quantizer):
        raise ValueError(f"expected the configuration of a quantizer; got {config!r}")
    return quantizer


def _that_saves(quantizer):
    # Said now, since a model is saved after its training. Functions always can be.
    if isinstance(quantizer, types.FunctionType):
        return quantizer
    try:
        if isinstance(quantizer, types.MethodType):
            raise TypeError("of a method Keras keeps the name alone, not its object")
        serialize(quantizer)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"expected a quantizer that a model can be saved with, a function or an object with get_config(); got {quantizer!r}: "
            f"{one_line(error)}"
        ) from error
    return quantizer


def _by_name(name):
    own = registered_own(Quantizer)
    classes = _BY_NAME | {cls.__name__: cls for cls in _BY_NAME.values()} | own
    if name in _OF_LARQ:
        return _OF_LARQ[name]()
    if name not in classes:
        found = _of_keras(name)
        if found is None:
            raise ValueError(f"unknown quantizer {name!r}; known are {', '.join([*_BY_NAME, *own])}")
        return found
    try:
        return classes[name]()
    except TypeError as error:
        cls = classes[name].__name__
        needs = "arguments" if name in own else "its number of bits"
        raise ValueError(
            f"quantizer {name!r} needs {needs}: give an object such as {cls}({'...' if name in own else 'bits=2'})"
        ) from error


def _of_keras(name):
    """What is registered with Keras as a custom object of this name, a function or a quantizer; None where there is none."""
    found = keras.saving.get_custom_objects().get(name)
    if isinstance(found, type):
        return found() if issubclass(found, Quantizer) else None
    return found


def serialize(quantizer: Callable[..., Tensor] | None) -> dict[str, Any] | None:
    """Dictionary from which `get` makes the same quantizer again; None for None."""
    return None if quantizer is None else keras.saving.serialize_keras_object(quantizer)
