"""The layers that the networks are written with: each method says what a quantized convolution and its activation are."""

from tfq import layers, quantizers, walk
from tfq.backend.keras import is_legacy, keras

FULL_PRECISION = 32

# Of each convolution, in float or not; the data format whatever the user's Keras is set to.
_CONVOLUTION = {"padding": "same", "data_format": "channels_last", "kernel_initializer": "he_normal"}


def batch_norm(x, name):
    """Batch normalization, with statistics that follow weights which flip (momentum 0.9, as larq advises)."""
    return layers.BatchNormalization(momentum=0.9, name=name)(x)


def set_bn_momentum(model, momentum):
    """Let the batch normalization of a network that is not compiled yet keep another share of its moving statistics at a step."""
    if not 0 <= momentum < 1:
        raise ValueError(f"bn_momentum must be from 0 to below 1; got bn_momentum={momentum}")
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
            layer.kernel.constraint = layer.kernel_quantizer


def float_conv(x, filters, kernel_size, name, strides=1, use_bias=False):
    """A convolution that stays in float in every method: the first one, and the head of nin."""
    return keras.layers.Conv2D(filters, kernel_size, strides, use_bias=use_bias, name=name, **_CONVOLUTION)(x)


class Scheme:
    """Quantizes weights, activations and gradients of a network with the quantizers of one method.

    Args:
        bits: `models.bits.Bits`.
        kmap: multiply each quantized convolution by the scale K of its inputs (XNOR-Net).
    """

    kernel_constraint = None

    def __init__(self, bits, kmap=False):
        self.bits = bits
        self.kmap = kmap

    def activation(self, x, name):
        """What stands in front of a quantized convolution: ReLU, unless the quantizer of its inputs takes its place.

        A ReLU in front of a sign would make every input +1; DoReFa's inputs are clipped to [0, 1] by their quantizer.
        """
        return x if self.bits.activations < FULL_PRECISION else keras.layers.ReLU(name=name)(x)

    def conv(self, x, filters, kernel_size, name, strides=1, use_bias=False):
        """A quantized convolution."""
        return layers.QuantConv2D(
            filters,
            kernel_size,
            strides,
            use_bias=use_bias,
            input_quantizer=self.input_quantizer(),
            kernel_quantizer=self.kernel_quantizer(),
            gradient_quantizer=self.gradient_quantizer(),
            kernel_constraint=self.kernel_constraint,
            kmap=self.kmap,
            name=name,
            **_CONVOLUTION,
        )(x)

    def input_quantizer(self):
        """Quantizer of the activations."""
        return quantizers.XnorInputs() if self.bits.activations == 1 else None

    def kernel_quantizer(self):
        """Quantizer of the weights."""
        raise NotImplementedError

    def gradient_quantizer(self):
        """Quantizer of the gradients."""
        return None


class Float(Scheme):
    """The network as it is, of Keras' own layers."""

    def activation(self, x, name):
        """A ReLU, whatever is made of the network afterwards: int8 has bits too."""
        return keras.layers.ReLU(name=name)(x)

    def conv(self, x, filters, kernel_size, name, strides=1, use_bias=False):
        """A convolution of Keras."""
        return float_conv(x, filters, kernel_size, name, strides, use_bias)


class Xnor(Scheme):
    """XNOR-Net: signs with one scale per filter; latent weights are kept where their gradient is not zero."""

    kernel_constraint = "weight_clip"

    def kernel_quantizer(self):
        """Binary weights."""
        return quantizers.XnorWeights()


class Ternary(Scheme):
    """Ternary Weight Networks, with float inputs or signs."""

    def kernel_quantizer(self):
        """Ternary weights."""
        return quantizers.TernaryWeights()


class DoReFa(Scheme):
    """DoReFa-Net: k bits for weights, activations and gradients."""

    def input_quantizer(self):
        """Activations in [0, 1]."""
        bits = self.bits.activations
        return quantizers.DoReFaInputs(bits) if bits < FULL_PRECISION else None

    def kernel_quantizer(self):
        """Weights of k bits."""
        return quantizers.DoReFaWeights(self.bits.weights)

    def gradient_quantizer(self):
        """Gradients of k bits."""
        bits = self.bits.gradients
        return quantizers.DoReFaGradients(bits) if bits < FULL_PRECISION else None


class LSQ(Scheme):
    """Learned Step Size Quantization: k bits for weights and activations."""

    def input_quantizer(self):
        """Activations from 0 on."""
        bits = self.bits.activations
        return quantizers.LSQInputs(bits) if bits < FULL_PRECISION else None

    def kernel_quantizer(self):
        """Weights of k bits."""
        return quantizers.LSQWeights(self.bits.weights)


BY_METHOD = {"float": Float, "int8": Float, "xnor": Xnor, "ternary": Ternary, "ternary_a1": Ternary, "dorefa": DoReFa, "lsq": LSQ}
