"""The network that a `.tfq` file holds: a list of operations with packed kernels, all plain data.

Tensors are (batch, height, width, channels) or (batch, features), float32 between the operations.
"""

from dataclasses import dataclass, field

import numpy as np

from tfq.graph.kernels import FloatKernel, PackedKernel

INPUT = "input"


@dataclass(frozen=True)
class Sign:
    """Quantizer of inputs: +1 for x >= 0, else -1."""


@dataclass(frozen=True)
class Levels:
    """Quantizer of inputs: round(n clip(x, 0, 1)) / n with n = 2^bits - 1, ties to even."""

    bits: int


@dataclass(frozen=True)
class Node:
    """An operation: its name and the names of the operations (or `INPUT`) whose results it takes."""

    name: str
    inputs: tuple


@dataclass(frozen=True)
class Conv2D(Node):
    """Convolution: kernel (height, width, in / groups, out).

    The quantizer is applied to the inputs; `pad_value` (0, 1 or -1) is what "same" pads the quantized inputs with. "same" pads as
    TensorFlow does: the odd pixel at the end. With `kmap` the result is multiplied by K (XNOR-Net, equation 11) before the
    bias: the mean of |x| over the channels, box-filtered with value 1 / (height width) and the same strides, dilations and
    padding, padded with |pad_value|.
    """

    kernel: FloatKernel | PackedKernel
    bias: np.ndarray | None = None
    strides: tuple = (1, 1)
    dilations: tuple = (1, 1)
    padding: str = "same"
    groups: int = 1
    quantizer: Sign | Levels | None = None
    pad_value: int = 0
    kmap: bool = False


@dataclass(frozen=True)
class Dense(Node):
    """Matrix product over the last axis: kernel (in, out)."""

    kernel: FloatKernel | PackedKernel
    bias: np.ndarray | None = None
    quantizer: Sign | Levels | None = None


@dataclass(frozen=True)
class ScaleShift(Node):
    """x * scale + shift, per channel of the last axis: batch normalization, folded, or a rescaling."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class ReLU(Node):
    """max(x, 0), and min(x, max_value) if that is given."""

    max_value: float | None = None


@dataclass(frozen=True)
class HardTanh(Node):
    """min(max(x, -1), 1)."""


@dataclass(frozen=True)
class Quantize(Node):
    """A quantizer as an operation of its own."""

    quantizer: Sign | Levels


@dataclass(frozen=True)
class ZeroPad(Node):
    """Zeros around the image: `widths` are (top, bottom, left, right)."""

    widths: tuple


@dataclass(frozen=True)
class MaxPool(Node):
    """Maximum over windows; "same" pads with nothing that could be the maximum."""

    pool_size: tuple = (2, 2)
    strides: tuple = (2, 2)
    padding: str = "valid"


@dataclass(frozen=True)
class AveragePool(Node):
    """Mean over windows; "same" leaves what lies outside out of the mean."""

    pool_size: tuple = (2, 2)
    strides: tuple = (2, 2)
    padding: str = "valid"


@dataclass(frozen=True)
class GlobalMaxPool(Node):
    """Maximum over height and width: (batch, channels), or (batch, 1, 1, channels) with `keepdims`."""

    keepdims: bool = False


@dataclass(frozen=True)
class GlobalAveragePool(Node):
    """Mean over height and width: (batch, channels), or (batch, 1, 1, channels) with `keepdims`."""

    keepdims: bool = False


@dataclass(frozen=True)
class Add(Node):
    """Sum of two or more tensors of one shape."""


@dataclass(frozen=True)
class Concatenate(Node):
    """Tensors one after another along the last axis."""


@dataclass(frozen=True)
class Reshape(Node):
    """Another shape, without the batch axis; row-major. Flatten is one of them."""

    shape: tuple = ()


@dataclass(frozen=True)
class Graph:
    """A network.

    Args:
        input_shape: (height, width, channels) of an image, or (features,).
        nodes: in an order in which each comes after its inputs; the last is the output.
        pixel_mean: per channel, of pixels scaled to [0, 1]; None where uint8 images are not taken.
        pixel_std: likewise.
    """

    input_shape: tuple
    nodes: tuple
    pixel_mean: np.ndarray | None = None
    pixel_std: np.ndarray | None = None
    labels: tuple = field(default=())
