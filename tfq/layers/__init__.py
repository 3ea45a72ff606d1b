"""Keras layers with quantized operands, a faster batch normalization, and an average that is the same everywhere."""

from tfq import registration
from tfq.backend.keras import keras
from tfq.backend.signs import keep_bits
from tfq.layers.activation import QuantActivation
from tfq.layers.average_pooling import AveragePooling2D
from tfq.layers.base import QuantizedLayer
from tfq.layers.batch_normalization import BatchNormalization
from tfq.layers.conv1d import QuantConv1D
from tfq.layers.conv1d_transpose import QuantConv1DTranspose
from tfq.layers.conv2d import QuantConv2D
from tfq.layers.conv2d_transpose import QuantConv2DTranspose
from tfq.layers.conv3d import QuantConv3D
from tfq.layers.conv3d_transpose import QuantConv3DTranspose
from tfq.layers.convolution import QuantizedConvolution
from tfq.layers.dense import QuantDense
from tfq.layers.depthwise_conv1d import QuantDepthwiseConv1D
from tfq.layers.depthwise_conv2d import QuantDepthwiseConv2D
from tfq.layers.einsum_dense import QuantEinsumDense
from tfq.layers.gradient import QuantGradient
from tfq.layers.quant_kernel import QuantKernel
from tfq.layers.rprelu import RPReLU
from tfq.layers.separable_conv1d import QuantSeparableConv1D
from tfq.layers.separable_conv2d import QuantSeparableConv2D
from tfq.layers.symbolic import as_layer
from tfq.quantizers.base import call_symbolic_by, register_own

__all__ = [
    "AveragePooling2D",
    "BatchNormalization",
    "QuantActivation",
    "QuantConv1D",
    "QuantConv1DTranspose",
    "QuantConv2D",
    "QuantConv2DTranspose",
    "QuantConv3D",
    "QuantConv3DTranspose",
    "QuantDense",
    "QuantDepthwiseConv1D",
    "QuantDepthwiseConv2D",
    "QuantEinsumDense",
    "QuantGradient",
    "QuantKernel",
    "QuantSeparableConv1D",
    "QuantSeparableConv2D",
    "QuantizedConvolution",
    "QuantizedLayer",
    "RPReLU",
    "keep_bits",
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


call_symbolic_by(as_layer)
registration.after_layers()
