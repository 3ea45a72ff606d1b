"""Keras layers with quantized operands, a faster batch normalization, and an average that is the same everywhere."""

from tfq.layers.activation import QuantActivation
from tfq.layers.average_pooling import AveragePooling2D
from tfq.layers.base import QuantizedLayer
from tfq.layers.batch_normalization import BatchNormalization
from tfq.layers.conv import QuantConv2D
from tfq.layers.convolution import QuantizedConvolution
from tfq.layers.dense import QuantDense
from tfq.layers.depthwise import QuantDepthwiseConv2D
from tfq.layers.gradient import QuantGradient

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
]
