"""Network in Network (Lin et al. 2013, arXiv:1312.4400) as the seed has it: 674,910 trainable parameters.

Everything is quantized but the first and the last convolution.
"""

from models.scheme import batch_norm, float_conv
from tfq import layers
from tfq.backend.keras import keras


def build(scheme, input_shape=(32, 32, 3), num_classes=10, bn_first=None):
    """The network as a functional Keras model that gives logits.

    Args:
        scheme: the `models.scheme.Scheme` that makes the quantized layers.
        input_shape: (height, width, channels) of the images.
        num_classes: number of logits.
        bn_first: in the quantized blocks, batch normalization in front of the convolution (BN, quantizer, convolution, ReLU)
            rather than behind it (quantizer, convolution, BN, ReLU). Default: in front for 1-bit activations, which gain by
            it, behind for wider ones, which lose.
    """
    if bn_first is None:
        bn_first = scheme.bits.activations == 1
    block = _bn_first if bn_first else _bn_last
    inputs = keras.Input(input_shape)
    x = batch_norm(float_conv(inputs, 192, 5, name="conv1", use_bias=True), name="conv1_bn")
    x = keras.layers.ReLU(name="conv1_relu")(x) if bn_first else scheme.activation(x, name="conv1_relu")
    x = block(scheme, x, 160, 1, name="conv2")
    x = block(scheme, x, 96, 1, name="conv3")
    x = keras.layers.MaxPooling2D(3, 2, padding="same", data_format="channels_last", name="pool1")(x)
    x = block(scheme, x, 192, 3, name="conv4")
    x = block(scheme, x, 192, 1, name="conv5")
    x = block(scheme, x, 192, 1, name="conv6")
    x = layers.AveragePooling2D(3, 2, padding="same", data_format="channels_last", name="pool2")(x)
    x = block(scheme, x, 192, 3, name="conv7")
    x = block(scheme, x, 192, 1, name="conv8", before_float=True)
    x = batch_norm(float_conv(x, num_classes, 1, name="conv9", use_bias=True), name="conv9_bn")
    x = keras.layers.ReLU(name="conv9_relu")(x)
    outputs = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="pool3")(x)
    return keras.Model(inputs, outputs, name="nin")


def _bn_first(scheme, x, filters, kernel_size, name, before_float=False):
    x = scheme.conv(batch_norm(x, name=f"{name}_bn"), filters, kernel_size, name=name, use_bias=True)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _bn_last(scheme, x, filters, kernel_size, name, before_float=False):
    x = batch_norm(scheme.conv(x, filters, kernel_size, name=name, use_bias=True), name=f"{name}_bn")
    # The quantizer of the next convolution takes the place of the ReLU; a float convolution has none.
    return keras.layers.ReLU(name=f"{name}_relu")(x) if before_float else scheme.activation(x, name=f"{name}_relu")
