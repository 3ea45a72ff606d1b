"""What the C of a network computes, by NumPy: its judge."""

from typing import Any

import numpy as np

from tfq.c import residuals
from tfq.c.source import Source
from tfq.graph import nodes as g


def run(graph: g.Graph, source: Source, images: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """The results, float64 (n, ...), rounded where `source.edges` and `source.residual` round.

    Args:
        graph: the network.
        source: its C.
        images: float32, or uint8 where the network holds mean and deviation.
        shift: relative, of what is rounded to fixed point.
    """
    first, compute = source.edges.begin(graph, source, images)
    values, kept = {g.INPUT: first}, dict[str, Any]()
    for node in graph.nodes:
        # Sums alone read what is kept.
        known = values | kept if isinstance(node, g.Add) else values
        values[node.name] = compute(node, *(known[name] for name in node.inputs))
        if node.name in source.steps:
            kept[node.name] = residuals.stored(values[node.name] * (1 + shift), source.steps[node.name])
    return values[graph.nodes[-1].name]
