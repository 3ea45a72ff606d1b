"""Keras layers with quantized operands, and a faster batch normalization."""

from tfq.layers.activation import QuantActivation
from tfq.layers.batch_normalization import BatchNormalization
from tfq.layers.conv import QuantConv2D
from tfq.layers.dense import QuantDense
from tfq.layers.gradient import QuantGradient

__all__ = ["BatchNormalization", "QuantActivation", "QuantConv2D", "QuantDense", "QuantGradient"]
