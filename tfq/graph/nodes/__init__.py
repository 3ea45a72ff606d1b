"""The network that a `.tfq` file holds: a list of operations with packed kernels, all plain data.

Tensors are (batch, height, width, channels), (batch, length, channels) or (batch, features), float32 between the operations.
"""

from tfq.graph.check import INPUT
from tfq.graph.fields import Kernel, Quantizer
from tfq.graph.kernels import FloatKernel, PackedKernel
from tfq.graph.nodes.elementwise import HardTanh, Quantize, ReLU, ScaleShift
from tfq.graph.nodes.graph import Graph
from tfq.graph.nodes.joins import Add, Concatenate, Reshape
from tfq.graph.nodes.products import Conv1D, Conv2D, Dense
from tfq.graph.nodes.transposed import Conv1DTranspose, Conv2DTranspose
from tfq.graph.nodes.windows import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool, ZeroPad
from tfq.graph.operations import Node, registered
from tfq.graph.quantizers import Levels, Sign

# The operations of this package.
BUILT_IN = tuple(operation.node for operation in registered().values())

__all__ = [
    "BUILT_IN",
    "INPUT",
    "Add",
    "AveragePool",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Dense",
    "FloatKernel",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Graph",
    "HardTanh",
    "Kernel",
    "Levels",
    "MaxPool",
    "Node",
    "PackedKernel",
    "Quantize",
    "Quantizer",
    "ReLU",
    "Reshape",
    "ScaleShift",
    "Sign",
    "ZeroPad",
]
