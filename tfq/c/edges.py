"""How products of float inputs and float weights are computed, which a network mostly has at its edges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tfq.c import int8
from tfq.c.source import Source
from tfq.graph import nodes as g
from tfq.graph import reference
from tfq.runtime.plan.paths import is_depthwise, is_product, scales_inputs
from tfq.runtime.plan.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable


class Edges:
    """In float.

    Attributes:
        name: what the command line calls it.
        rounds: whether it rounds more than float32 does.
    """

    name = "float"
    rounds = False

    def takes(self, plan: Plan, node: Any) -> bool:
        """Whether a convolution or product is computed in int8."""
        return False

    def begin(self, graph: g.Graph, source: Source, images: np.ndarray) -> tuple[np.ndarray, Callable[..., np.ndarray]]:
        """How `tfq.c.arithmetic.run` begins: the images as they go in, float64, and what computes a node of its tensors.

        Args:
            graph: the network.
            source: its C.
            images: float32, or uint8 where the network holds mean and deviation.
        """
        return reference.prepared(graph, images), lambda node, *tensors: node.compute(*tensors)


class Int8Edges(Edges):
    """In int8 fixed point: y = (sum q_x q_w) s_x s_w + bias.

    Weights are q_w s_w with a scale a filter, s_w = max|w| / 127. Inputs are q_x s_x with a scale an image, which is measured as
    it runs, s_x = max|x| / 127. So nothing is calibrated. Pixels have the scale that the largest of their 256 values needs. All q
    are rounded to the nearest, ties to even, and lie between -127 and 127. Sums are int32, and exact.

    In float stay packed kernels with float inputs (their weights take less than a byte), depthwise and transposed convolutions,
    float kernels with quantized inputs, and convolutions that pad 1 or -1 or have a K map.
    """

    name = "int8"
    rounds = True

    def takes(self, plan: Plan, node: Any) -> bool:
        """Whether a convolution or product has float inputs and a float kernel, and is none of those named above."""
        if not is_product(node) or node.quantizer is not None or not isinstance(node.kernel, g.FloatKernel):
            return False
        pads_zeros = getattr(node, "pad_value", 0) == 0
        return pads_zeros and not is_depthwise(node) and not scales_inputs(node) and node.name not in plan.origins

    def begin(self, graph: g.Graph, source: Source, images: np.ndarray) -> tuple[np.ndarray, Callable[..., np.ndarray]]:
        """See `Edges.begin`; sums of bytes are exact in float64."""
        taken = {node.name for node in source.plan.nodes if self.takes(source.plan, node)}
        of_pixels = images.dtype == np.uint8 and int8.reads_pixels(source, graph)
        if of_pixels:
            assert graph.pixel_mean is not None
            assert graph.pixel_std is not None
            images = _real(int8.pixels(graph.pixel_mean, graph.pixel_std).quantize(images))

        def compute(node, *tensors):
            if node.name not in taken:
                return node.compute(*tensors)
            is_pixels = of_pixels and source.tensor(node.inputs[0]).name == g.INPUT
            return _in_int8(node, tensors[0] if is_pixels else _real(int8.quantize_images(tensors[0])))

        return reference.prepared(graph, images), compute


def _in_int8(node: Any, x: np.ndarray) -> np.ndarray:
    """What an operation makes of inputs that are quantized already."""
    return replace(node, kernel=g.FloatKernel(_real(int8.quantize_kernel(node.kernel.values)))).compute(x)


def _real(found):
    return found.values.astype(np.float64) * found.scale.astype(np.float64)


FLOAT, INT8 = Edges(), Int8Edges()
EDGES = {edges.name: edges for edges in (FLOAT, INT8)}
