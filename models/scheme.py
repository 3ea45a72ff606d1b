"""The layers that the networks are written with: what the table of methods says of a convolution and its activation."""

import functools
from typing import Any

from models.methods import FULL_PRECISION, Bits, Method, Operand
from models.networks import BN_MOMENTUM
from tfq import layers, quantizers, walk
from tfq.backend.keras import is_legacy, keras
from tfq.quantizers.base import registered_own

# Of each convolution, in float or not; the data format whatever the user's Keras is set to.
_CONVOLUTION = {"padding": "same", "data_format": "channels_last", "kernel_initializer": "he_normal"}


def batch_norm(x, name):
    """Batch normalization, with statistics that follow weights which flip (momentum 0.9, as larq advises)."""
    return layers.BatchNormalization(momentum=0.9, name=name)(x)


def set_bn_momentum(model, momentum):
    """Let the batch normalization of a network that is not compiled yet keep another share of its moving statistics at a step."""
    BN_MOMENTUM.check(momentum)
    for _, layer in walk.layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum


def drop_latent_weights(model):
    """Let each step of the optimizer end with W <- Q(W), so that nothing smaller than a level adds up over the steps.

    DoReFa's Q of 4 bits and more moves some of its own levels outwards, each time: tanh(W) / max tanh(W) is above W in between.
    """
    if is_legacy:
        raise ValueError("latent=False needs Keras 3, which lets a variable get a constraint; got tf_keras")
    for _, layer in walk.layers(model):
        if getattr(layer, "kernel_quantizer", None):
            if layer.kernel_arguments.keys() - {"channel_axis"}:
                raise ValueError(f"latent=False is for quantizers that learn nothing; got {layer.kernel_quantizer!r}")
            layer.latent_kernel.constraint = functools.partial(layer.kernel_quantizer, **layer.kernel_arguments)


def float_conv(x, filters, kernel_size, name, strides=1, use_bias=False):
    """A convolution that stays in float in every method: the first one, and the head of nin."""
    return keras.layers.Conv2D(filters, kernel_size, strides, use_bias=use_bias, name=name, **_CONVOLUTION)(x)


class Scheme:
    """Quantizes weights, activations and gradients of a network as a method says.

    Args:
        method: `models.methods.Method`.
        bits: `models.methods.Bits`.
        kmap: multiply each quantized convolution by the scale K of its inputs (XNOR-Net).
        **options: more arguments of the quantizers of weights and activations.
    """

    def __init__(self, method: Method, bits: Bits, kmap: bool = False, **options: Any) -> None:
        self.method = method
        self.bits = bits
        self.kmap = kmap
        self.options = options

    def activation(self, x, name):
        """What stands in front of a quantized convolution: ReLU, unless the quantizer of its inputs takes its place.

        A ReLU in front of a sign would make every input +1; DoReFa's inputs are clipped to [0, 1] by their quantizer.
        """
        return keras.layers.ReLU(name=name)(x) if self.input_quantizer() is None else x

    def conv(self, x, filters, kernel_size, name, strides=1, use_bias=False):
        """A quantized convolution; one of Keras where the method quantizes nothing."""
        if not self.method.is_low_bit:
            return float_conv(x, filters, kernel_size, name, strides, use_bias)
        return layers.QuantConv2D(
            filters,
            kernel_size,
            strides,
            use_bias=use_bias,
            input_quantizer=self.input_quantizer(),
            kernel_quantizer=self.kernel_quantizer(),
            gradient_quantizer=self.gradient_quantizer(),
            kernel_constraint=self.method.kernel_constraint,
            kmap=self.kmap,
            name=name,
            **_CONVOLUTION,
        )(x)

    def kernel_quantizer(self):
        """A new quantizer of the weights; None where the method has none."""
        return self.method.weights.quantizer and _made(self.method.weights, self.bits.weights, **self.options)

    def input_quantizer(self):
        """A new quantizer of the activations; None where they are float."""
        return _of_low_bits(self.method.activations, self.bits.activations, **self.options)

    def gradient_quantizer(self):
        """A new quantizer of the gradients; None where they are float."""
        return _of_low_bits(self.method.gradients, self.bits.gradients)


def _of_low_bits(operand: Operand, bits: int, **options):
    return None if operand.quantizer is None or bits == FULL_PRECISION else _made(operand, bits, **options)


def _made(operand: Operand, bits: int, **options):
    """The quantizer of an operand: a new one for each layer, whose variables it may own."""
    own = registered_own(quantizers.Quantizer)
    kind = own[operand.quantizer] if operand.quantizer in own else getattr(quantizers, operand.quantizer)
    return kind(bits, **options) if operand.takes_bits else kind(**options)
