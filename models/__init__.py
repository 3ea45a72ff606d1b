"""The networks of train.py: functional Keras models, float and quantized."""

import contextlib
import importlib

from models import bits

NETWORKS = ("resnet20", "nin")


def build(name, method="float", w_bits=None, a_bits=None, g_bits=None, kmap=False, bn_momentum=None, latent=True, **options):
    """Build a network.

    Args:
        name: `"resnet20"` or `"nin"`.
        method: `"float"`, `"xnor"`, `"ternary"`, `"ternary_a1"`, `"dorefa"`, `"lsq"` or `"int8"`.
        w_bits: bits of the weights; None for the method's own. DoReFa and LSQ have none of their own.
        a_bits: bits of the activations, likewise.
        g_bits: bits of the gradients (DoReFa); None for float.
        kmap: multiply each quantized convolution by the scale K of its inputs (XNOR-Net).
        bn_momentum: share of its moving statistics that batch normalization keeps at a step, from 0 to below 1; None for 0.9.
        latent: False to train the quantized weights themselves, for comparison: each step ends with W <- Q(W). Keras 3 only.
        **options: of the network: `input_shape`, `num_classes`; resnet20 `depth`, `width`; nin `bn_first`.

    Returns:
        A Keras model that gives logits.

    Raises:
        ValueError: an unknown name or method, or numbers of bits that the method cannot have.
    """
    if name not in NETWORKS:
        raise ValueError(f"network {name!r} is unknown; known are {', '.join(NETWORKS)}")
    resolved = bits.resolve(method, w_bits, a_bits, g_bits)
    if kmap and method != "xnor":
        raise ValueError(f"kmap=True scales the inputs of method 'xnor'; got method={method!r}")
    # Imported here: `models.bits` must stay free of Keras.
    schemes = importlib.import_module("models.scheme")
    model = importlib.import_module(f"models.{name}").build(schemes.BY_METHOD[method](resolved, kmap), **options)
    if bn_momentum is not None:
        schemes.set_bn_momentum(model, bn_momentum)
    if not latent:
        schemes.drop_latent_weights(model)
    if method == "int8":
        model = importlib.import_module("models.int8").quantize(model)
    return model


def reading(method):
    """Context in which Keras can read a network of this method back from its file."""
    return importlib.import_module("models.int8").reading() if method == "int8" else contextlib.nullcontext()
