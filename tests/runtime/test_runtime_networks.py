"""Whole networks, against NumPy."""

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import METHODS, SIGN, normal, pick, same, small_network

from tfq.graph import nodes as g
from tfq.runtime.engine import Engine

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


@pytest.mark.parametrize(("quantizer", "coding", "bits"), METHODS)
@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_a_network(quantizer, coding, bits, pad_value):
    rng = np.random.default_rng(3)
    graph = small_network(rng, quantizer, coding, bits, pad_value)
    same(graph, normal(rng, 4, *graph.input_shape))


@pytest.mark.parametrize(("quantizer", "coding", "bits"), METHODS)
@pytest.mark.parametrize(("filters", "width"), [(16, 6), (16, 5), (48, 6), (48, 3), (64, 4)])
def test_blocks_whose_filters_fill_vectors(filters, width, quantizer, coding, bits):
    # Two vectors of filters, or a vector of two windows; or neither, where a row has an odd number of them.
    rng = np.random.default_rng(filters + width)

    def conv(name, source, inner):
        values = oracle.random_values(rng, (3, 3, inner, filters), coding, bits)
        kernel = oracle.pack(values, coding, bits, rng.uniform(0.05, 0.2, filters))
        return g.Conv2D(name, (source,), kernel, quantizer=quantizer)

    def norm(name, source):
        return g.ScaleShift(name, (source,), normal(rng, filters), normal(rng, filters))

    nodes = (
        conv("conv1", "input", 5),
        norm("bn1", "conv1"),
        conv("conv2", "bn1", filters),
        norm("bn2", "conv2"),
        conv("conv3", "bn2", filters),
        g.HardTanh("tanh", ("conv3",)),
        g.Add("add", ("tanh", "conv1")),
        norm("bn3", "add"),
        conv("conv4", "bn3", filters),
        g.Add("add2", ("conv4", "add")),
    )
    same(g.Graph((3, width, 5), nodes), normal(rng, 3, 3, width, 5))


def test_a_network_with_k():
    rng = np.random.default_rng(3)
    graph = small_network(rng, kmap=True, pad_value=-1)
    same(graph, normal(rng, 4, *graph.input_shape))


def test_signs_that_two_convolutions_share_are_packed_once_and_batch_norm_is_never_a_tensor():
    engine = Engine(small_network(np.random.default_rng(0)))
    paths = [path for _, path, _ in engine.profile(np.zeros((1, 12, 11, 3), np.float32), repeats=1)]
    # All signs come out of the convolutions before, but for what stands on both sides of an addition.
    assert paths.count("pack") == 0
    assert "ScaleShift" not in paths
    assert dict(engine.layers())["conv1"].endswith("threshold")


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


def test_random_graphs():
    compared = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng)
        images = normal(rng, 2, *graph.input_shape)
        if away_from_boundaries(graph, images):
            results, wanted = Engine(graph).predict(images), oracle.run(graph, images)
            np.testing.assert_allclose(results, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max() + 1e-6, err_msg=str(seed))
            compared += 1
    assert compared > 60
