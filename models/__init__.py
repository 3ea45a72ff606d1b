"""The networks of train.py: functional Keras models, float and quantized."""

import contextlib
import importlib

from models import methods
from models.methods import Method, Operand, register_method
from models.networks import NETWORKS, Network, Option, network, register_network

__all__ = [
    "NETWORKS",
    "Method",
    "Network",
    "Operand",
    "Option",
    "build",
    "reading",
    "register_method",
    "register_network",
]


def build(
    name,
    method="float",
    w_bits=None,
    a_bits=None,
    g_bits=None,
    kmap=False,
    bn_momentum=None,
    latent=True,
    ewgs_delta=None,
    **options,
):
    """Build a network.

    Args:
        name: one of `NETWORKS`, such as `"resnet20"` or `"nin"`.
        method: one of `models.methods.METHODS`, such as `"float"`, `"xnor"` or `"dorefa"`.
        w_bits: bits of the weights; None for the method's own. DoReFa, LSQ and EWGS have none of their own.
        a_bits: bits of the activations, likewise.
        g_bits: bits of the gradients (DoReFa); None for float.
        kmap: multiply each quantized convolution by the scale K of its inputs (XNOR-Net).
        bn_momentum: share of its moving statistics that batch normalization keeps at a step, from 0 to below 1; None for 0.9.
        latent: False to train the quantized weights themselves, for comparison: each step ends with W <- Q(W). Keras 3 only.
        ewgs_delta: how much gradients are scaled by the rounding error (EWGS); None for 0.001.
        **options: of the network: `input_shape`, `num_classes`; resnet20 `depth`, `width`; nin `bn_first`. None is as if it was
            not given.

    Returns:
        A Keras model that gives logits.

    Raises:
        ValueError: an unknown name, method or option, or a value that it cannot have.
    """
    entry, how = network(name), methods.method(method)
    bits = how.resolve(w_bits, a_bits, g_bits)
    if kmap and "kmap" not in how.flags:
        raise ValueError(f"kmap=True scales the inputs of method 'xnor'; got method={method!r}")
    if not latent and "latent" not in how.flags:
        known = " or ".join(each.name for each in methods.METHODS.values() if "latent" in each.flags)
        raise ValueError(f"latent=False is for method {known}; got method={method!r}")
    if ewgs_delta is not None and "ewgs_delta" not in how.flags:
        raise ValueError(f"ewgs_delta={ewgs_delta} is for method 'ewgs'; got method={method!r}")
    options = {option: value for option, value in options.items() if value is not None}
    entry.check({option: value for option, value in options.items() if option not in ("input_shape", "num_classes")})
    # Imported here: what the flags need must stay free of Keras.
    schemes = importlib.import_module("models.scheme")
    scaling = {} if ewgs_delta is None else {"delta": ewgs_delta}
    model = entry.make(schemes.Scheme(how, bits, kmap, **scaling), **options)
    if bn_momentum is not None:
        schemes.set_bn_momentum(model, bn_momentum)
    if not latent:
        schemes.drop_latent_weights(model)
    if how.wrapper:
        model = importlib.import_module(how.wrapper).quantize(model)
    return model


def reading(method):
    """Context in which Keras can read a network of this method back from its file."""
    wrapper = methods.method(method).wrapper
    return importlib.import_module(wrapper).reading() if wrapper else contextlib.nullcontext()
