"""Which arithmetic computes a convolution or product of matrices: questions to one operation, without the graph around it."""

import math

from tfq.graph import nodes as g
from tfq.graph.kernels import coding_of
from tfq.runtime.lanes import LANES

# Bit planes of inputs times those of weights up to which popcounts are faster than products of bytes (binary: 1 x 1), and
# than float32 where the inputs are signs, which bytes do not hold.
MOST_PLANES = 4
MOST_PLANES_OF_SIGNS = 8
# Filters a channel up to which one step computes a depthwise convolution: with more of them, those of a channel fill a vector.
MOST_FILTERS_A_CHANNEL = LANES - 1
_BYTE = 8


def is_product(node) -> bool:
    """Whether a node is a convolution or a product of matrices."""
    return isinstance(node, g.Conv2D | g.Dense)


def on_bits(node) -> bool:
    """Whether a convolution or product is computed by popcounts of packed words."""
    most = MOST_PLANES_OF_SIGNS if isinstance(node.quantizer, g.Sign) else MOST_PLANES
    return _on_integers(node) and input_bits(node.quantizer) * kernel_planes(node.kernel) <= most


def on_bytes(node) -> bool:
    """Whether a convolution or product is computed on levels of 8 bits or fewer, a byte each."""
    return (
        _on_integers(node)
        and not on_bits(node)
        and isinstance(node.quantizer, g.Levels)
        and max(node.quantizer.bits, kernel_planes(node.kernel)) <= _BYTE
    )


def reads_packed(node) -> bool:
    """Whether a convolution or product reads a `PackedTensor`."""
    return on_bits(node) or on_bytes(node)


def scales_inputs(node) -> bool:
    """Whether the results of a convolution are multiplied by K, the scales of its inputs."""
    return getattr(node, "kmap", False)


def groups(node) -> int:
    """Groups of a convolution; a product has one."""
    return getattr(node, "groups", 1)


def filters_a_channel(node) -> int:
    """Filters that see one channel of a convolution whose groups are its channels."""
    return node.kernel.shape[-1] // groups(node)


def is_depthwise(node) -> bool:
    """Whether each channel is a group, and one step computes them all, a channel a lane."""
    return groups(node) > 1 and node.kernel.shape[-2] == 1 and filters_a_channel(node) <= MOST_FILTERS_A_CHANNEL


def is_one_step(node) -> bool:
    """Whether one step computes all filters of a convolution or product; else there is one a group."""
    return groups(node) == 1 or is_depthwise(node)


def on_tiles(node) -> bool:
    """Whether Winograd's F(2x2, 3x3) may compute a convolution in float32 or on bytes: from 16 channels and filters on."""
    return is_3x3(node) and not on_bits(node) and groups(node) == 1 and min(node.kernel.shape[2:]) >= LANES


def is_3x3(node) -> bool:
    """Whether an operation is a convolution of 3x3 taps beside each other, without strides."""
    return isinstance(node, g.Conv2D) and tuple(node.kernel.shape[:2]) == (3, 3) and {*node.strides, *node.dilations} == {1}


def _on_integers(node):
    """Whether both factors are whole numbers whose sums fit 32 bits, twice as large in passing."""
    if not isinstance(node.kernel, g.PackedKernel) or node.quantizer is None or groups(node) != 1:
        return False
    weights = math.prod(node.kernel.shape[:-1])
    return weights * (2 ** input_bits(node.quantizer) - 1) * (2 ** kernel_planes(node.kernel) - 1) < 2**30


def input_bits(quantizer) -> int:
    """Bit planes of the inputs."""
    return 1 if isinstance(quantizer, g.Sign) else quantizer.bits


def kernel_planes(kernel) -> int:
    """Bit planes of a `PackedKernel` that are each multiplied with the inputs."""
    return coding_of(kernel).multiplied(kernel.bits)
