"""Random packed graphs, without Keras."""

import numpy as np
import runtime_oracle as oracle
from runtime_networks import SIGN, normal, pick

from tfq.graph import nodes as g


def random_graph(rng):
    """Operations in random order, on random tensors that came before."""
    shapes, nodes = {"input": (8, 8, 5)}, []

    def add(node, shape):
        nodes.append(node)
        shapes[node.name] = shape

    for i in range(int(rng.integers(6, 20))):
        name = f"n{i}"
        source = pick(rng, *list(shapes)[-3:])
        height, width, channels = shapes[source]
        match rng.integers(11):
            case 0 | 1 | 2:
                kinds = [(SIGN, "binary", 1), (SIGN, "ternary", 2), (g.Levels(2), "levels", 2), (None, "binary", 1)]
                quantizer, coding, bits = pick(rng, *kinds, kinds[0], (g.Levels(4), "levels", 8), (g.Levels(3), "levels", 2))
                outer, size = pick(rng, 5, 16, 32), pick(rng, 1, 3)
                kernel = oracle.pack(
                    oracle.random_values(rng, (size, size, channels, outer), coding, bits),
                    coding,
                    bits,
                    rng.uniform(0.1, 1, outer),
                )
                how = {"quantizer": quantizer, "pad_value": pick(rng, 0, 1, -1), "kmap": bool(quantizer and rng.integers(5) == 0)}
                add(g.Conv2D(name, (source,), kernel, pick(rng, None, normal(rng, outer)), **how), (height, width, outer))
            case 3 | 4:
                add(g.ScaleShift(name, (source,), normal(rng, channels), normal(rng, channels)), shapes[source])
            case 5:
                add(pick(rng, g.ReLU(name, (source,)), g.HardTanh(name, (source,))), shapes[source])
            case 6:
                alike = [other for other in shapes if shapes[other] == shapes[source]]
                add(g.Add(name, (source, pick(rng, *alike))), shapes[source])
            case 7:
                other = pick(rng, *shapes)
                add(g.Concatenate(name, (source, other)), (height, width, channels + shapes[other][2]))
            case 8:
                add(pick(rng, g.MaxPool, g.AveragePool)(name, (source,), (3, 2), (1, 1), "same"), shapes[source])
            case 9:
                add(g.Quantize(name, (source,), pick(rng, SIGN, g.Levels(2))), shapes[source])
            case 10:
                outer = channels * pick(rng, 1, 1, 2)
                kernel = oracle.pack(oracle.random_values(rng, (3, 3, 1, outer), "ternary"), "ternary", scale=rng.uniform(0.1, 1))
                how = {"groups": channels, "quantizer": pick(rng, None, SIGN, g.Levels(2)), "pad_value": pick(rng, 0, 1, -1)}
                add(g.Conv2D(name, (source,), kernel, pick(rng, None, normal(rng, outer)), **how), (height, width, outer))
    return g.Graph((8, 8, 5), tuple(nodes))


def away_from_boundaries(graph, images):
    """Whether no quantized value lies so close to a boundary that rounding decides."""
    values = {g.INPUT: images.astype(np.float64)}
    rectified = {node.name for node in graph.nodes if isinstance(node, g.ReLU)}
    for node in graph.nodes:
        values[node.name] = node.compute(*(values[name] for name in node.inputs))
        quantizer, x = getattr(node, "quantizer", None), values[node.inputs[0]]
        edge = np.abs(x).max() * 1e-5
        # The zeros of a ReLU are exact; others may come of sums that cancel in one order and not in another.
        near = (np.abs(x) < edge) & ((x != 0) | (node.inputs[0] not in rectified))
        if isinstance(quantizer, g.Sign) and np.any(near):
            return False
        if isinstance(quantizer, g.Levels):
            n = 2**quantizer.bits - 1
            steps = n * x[(x > -edge) & (x < 1 + edge)] - 0.5
            if np.any(np.abs(steps - np.rint(steps)) < edge * n / 3):
                return False
    return True
