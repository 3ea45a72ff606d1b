"""Which tensors of a graph are -1 and 1 alone."""

from typing import Any

from tfq.graph import nodes as g
from tfq.graph.kernels import PackedKernel

# What makes signs of signs.
_KEEPS_SIGNS = (g.MaxPool, g.GlobalMaxPool, g.Reshape, g.Concatenate)


def signs(graph: g.Graph) -> set[str]:
    """Names of the operations whose results are signs."""
    found: set[str] = set()
    for node in graph.nodes:
        makes = isinstance(node, g.Quantize) and isinstance(node.quantizer, g.Sign)
        if makes or (isinstance(node, _KEEPS_SIGNS) and set(node.inputs) <= found):
            found.add(node.name)
    return found


def multiplies_signs(node: Any, among: set[str]) -> bool:
    """Whether the inputs of a product are signs where it multiplies them."""
    return isinstance(node.quantizer, g.Sign) or (node.quantizer is None and set(node.inputs) <= among)


def sums_are_whole(node: Any, among: set[str]) -> bool:
    """Whether a product sums up products of whole numbers."""
    return isinstance(node.kernel, PackedKernel) and (node.quantizer is not None or multiplies_signs(node, among))
