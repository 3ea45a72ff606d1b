"""The wide pre-activation ResNet-20: 1,110,522 trainable parameters.

Everything is quantized but the first convolution and the head, the 1x1 convolutions of the shortcuts too.
"""

from models.scheme import batch_norm, float_conv
from tfq.backend.keras import keras

STAGES = (16, 32, 64)


def build(scheme, input_shape=(32, 32, 3), num_classes=10, depth=20, width=4):
    """The network as a functional Keras model that gives logits.

    Args:
        scheme: the `models.scheme.Scheme` that makes the quantized layers.
        input_shape: (height, width, channels) of the images.
        num_classes: number of logits.
        depth: number of convolutions along the longest path, shortcuts not counted, plus the head: 6 n + 2.
        width: output channels of a block over its inner ones. 4 is the seed's network; 1 gives the 16, 32 and 64 channels of
            He et al. (arXiv:1512.03385, section 4.2), 272 k parameters.
    """
    inputs = keras.Input(input_shape)
    x = float_conv(inputs, 16, 3, name="conv")
    for stage, inner in enumerate(STAGES, start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(scheme, x, inner, inner * width, strides, name=f"stage{stage}_block{block}")
    x = batch_norm(x, name="head_bn")
    x = keras.layers.ReLU(name="head_relu")(x)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="head_pool")(x)
    outputs = keras.layers.Dense(num_classes, name="head")(x)
    return keras.Model(inputs, outputs, name="resnet20")


def _block(scheme, x, inner, outer, strides, name):
    activated = scheme.activation(batch_norm(x, name=f"{name}_bn1"), name=f"{name}_relu1")
    shortcut = x
    if x.shape[-1] != outer or strides != 1:
        shortcut = scheme.conv(activated, outer, 1, strides=strides, name=f"{name}_shortcut")
    y = scheme.conv(activated, inner, 3, strides=strides, name=f"{name}_conv1")
    y = scheme.activation(batch_norm(y, name=f"{name}_bn2"), name=f"{name}_relu2")
    y = scheme.conv(y, outer, 3, name=f"{name}_conv2")
    return keras.layers.Add(name=f"{name}_add")([shortcut, y])
