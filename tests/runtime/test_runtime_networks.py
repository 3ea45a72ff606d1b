"""Whole networks, against NumPy."""

import numpy as np
import pytest
import runtime_oracle as oracle
from random_graphs import away_from_boundaries, random_graph
from runtime_networks import METHODS, normal, same, small_network

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
