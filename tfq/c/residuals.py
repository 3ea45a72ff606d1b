"""How the tensors are kept that a residual network adds to the results of its convolutions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfq.c.registry import NoC
from tfq.graph import nodes as g
from tfq.runtime.plan.fuse import limits
from tfq.runtime.plan.images import Interleave
from tfq.runtime.plan.paths import scales_inputs
from tfq.runtime.program import packing

if TYPE_CHECKING:
    from tfq.c.source import Source

_LOWEST, _HIGHEST = -(2**15), 2**15 - 1
# Of a bound: float32 holds the inverse of its step, also where a tensor is 0 everywhere.
_LEAST = 2.0**-80


class Residual:
    """In float.

    Attributes:
        name: what the command line calls it.
        rounds: whether it rounds more than float32 does.
    """

    name = "float"
    rounds = False

    def steps(self, graph: g.Graph, source: Source) -> dict[str, float]:
        """The step of each tensor that is kept in fixed point, by its name."""
        return {}


class Int16Residual(Residual):
    """In fixed point of 16 bits: y is kept as q = round(y / step), ties to even, between -32768 and 32767.

    The step of a tensor is the smallest power of two with which q holds the bound of the network's arithmetic: the sum of the
    sizes of the weights, through batch normalization and sums. So no images are needed, and with float edges no value from pixels
    saturates.
    A sum adds in float32 and is rounded once, where it is kept. Signs and levels are taken before that.

    In float stay tensors that something else reads in float: a pool, an activation by itself, a K map, a convolution in float.
    """

    name = "int16"
    rounds = True

    def steps(self, graph: g.Graph, source: Source) -> dict[str, float]:
        """See `Residual.steps`.

        Raises:
            NoC: a tensor has no bound, since the inputs have none; the message names it.
        """
        names = _kept(graph, source)
        bounds = _bounds(graph, source.plan) if names else {}
        without = [repr(name) for name in names if not np.isfinite(bounds[name])]
        if without:
            advice = "it needs pixels, with their mean and deviation in the network"
            raise NoC(f"residual=int16 finds no bound for {', '.join(without)}: {advice}")
        return {name: _step(float(bounds[name])) for name in names}


FLOAT, INT16 = Residual(), Int16Residual()
RESIDUALS = {residual.name: residual for residual in (FLOAT, INT16)}


def stored(values: np.ndarray, step: float) -> np.ndarray:
    """What a tensor is once it is kept in fixed point, round(y / step) step."""
    return np.clip(np.rint(values / step), _LOWEST, _HIGHEST) * step


def _kept(graph, source):
    """The tensors that convolutions write and add to, and that nothing reads in float."""
    fused = {fused.result: fused for fused in source.plan.fused.values()}
    names = dict.fromkeys(one.residual for one in fused.values() if one.residual)
    # Others are parts of an operation.
    return [node.name for node in graph.nodes if node.name in names and node.name in fused and _is_kept(source, fused[node.name])]


def _is_kept(source, fused):
    packed = [packed for packed in source.plan.margins if packed.source == fused.result]
    is_read_in_float = source.is_output(fused.result) or source.has_float_reader(fused.result)
    return not is_read_in_float and packed in ([], [fused.packed])


def _step(bound):
    """The smallest power of two that `bound` is at most 32767 times."""
    mantissa, exponent = math.frexp(max(bound, _LEAST) / _HIGHEST)
    return math.ldexp(1.0, exponent - (mantissa == 0.5))


def _bounds(graph, plan):
    """The largest size that the values of each tensor can have."""
    found: dict[str, Any] = {g.INPUT: np.inf}
    if graph.pixel_mean is not None:
        found[g.INPUT] = np.max(np.maximum(graph.pixel_mean, 1 - graph.pixel_mean) / graph.pixel_std)
    for node in plan.nodes:
        found[node.name] = _bound(node, *(found[name] for name in node.inputs))
    return {name: np.max(bound) for name, bound in found.items()}


def _bound(node, *bounds):
    """The bound of a result, by those of the inputs; one for all values, or one a channel."""
    largest = max(np.max(bound) for bound in bounds)
    match node:
        case g.Conv2D() | g.Dense():
            values, scale = packing.real(node.kernel)
            inputs = max(largest, abs(getattr(node, "pad_value", 0))) if node.quantizer is None else 1.0
            inputs *= max(largest, 1.0) if scales_inputs(node) else 1.0
            bound = np.abs(values).sum(axis=(0, 1)) * np.abs(scale) * inputs
            return bound if node.bias is None else bound + np.abs(node.bias)
        case g.ScaleShift():
            return bounds[0] * np.abs(node.scale) + np.abs(node.shift)
        case g.ReLU() | g.HardTanh():
            return np.minimum(bounds[0], max(map(abs, limits(node))))
        case g.Quantize():
            return 1.0
        case g.Add():
            return sum(bounds)
        case g.MaxPool() | g.AveragePool() | g.GlobalMaxPool() | g.GlobalAveragePool():
            return largest
        case g.Reshape() | g.ZeroPad() | g.Concatenate() | Interleave():
            return largest
    return np.inf
