"""Keras layers with quantized operands, a faster batch normalization, and an average that is the same everywhere."""

from tfq.backend.keras import keras
from tfq.layers.activation import QuantActivation
from tfq.layers.average_pooling import AveragePooling2D
from tfq.layers.base import QuantizedLayer
from tfq.layers.batch_normalization import BatchNormalization
from tfq.layers.conv import QuantConv2D
from tfq.layers.convolution import QuantizedConvolution
from tfq.layers.dense import QuantDense
from tfq.layers.depthwise import QuantDepthwiseConv2D
from tfq.layers.gradient import QuantGradient
from tfq.layers.rprelu import RPReLU
from tfq.quantizers.base import register_own

__all__ = [
    "AveragePooling2D",
    "BatchNormalization",
    "QuantActivation",
    "QuantConv2D",
    "QuantDense",
    "QuantDepthwiseConv2D",
    "QuantGradient",
    "QuantizedConvolution",
    "QuantizedLayer",
    "RPReLU",
    "register_layer",
]


def register_layer(cls: type) -> type:
    """Make a layer of one's own known to Keras, which then reads it from saved models.

        @tfq.layers.register_layer
        class Mine(QuantizedLayer, keras.layers.Conv1D):
            ...

    Args:
        cls: subclass of `keras.layers.Layer`; a quantized one also of `QuantizedLayer`.

    Returns:
        The class.

    Raises:
        TypeError: it is none.
        ValueError: another class of this name is registered.
    """
    return register_own(cls, keras.layers.Layer, "keras.layers.Layer")
