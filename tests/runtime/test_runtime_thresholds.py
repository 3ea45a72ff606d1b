"""Signs that are a comparison of the integer accumulator."""

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import SIGN, normal

from tfq.graph import nodes as g
from tfq.runtime.engine import Engine

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def folded(scale, bias, chain, channels=5, filters=None, quantizer=SIGN, coding="binary", bits=1):
    """conv, chain, and a binary product that shows the signs: (graph, that graph cut before the signs)."""
    filters = filters or len(scale)
    rng = np.random.default_rng(1)
    values = oracle.random_values(rng, (3, 3, channels, filters), coding, bits)
    nodes = [g.Conv2D("conv", ("input",), oracle.pack(values, coding, bits, scale), bias, quantizer=quantizer)]
    nodes += chain
    shown = g.Conv2D("shown", (nodes[-1].name,), oracle.pack(2 * np.eye(filters)[None, None] - 1, "binary"), quantizer=SIGN)
    return g.Graph((6, 7, channels), (*nodes, shown)), g.Graph((6, 7, channels), tuple(nodes))


def assert_signs_follow(graph, cut, images):
    """The signs behind `shown` are those of the float32 tensor that comes out of the cut graph."""
    assert "threshold" in Engine(graph).layers()[0][1]
    signs = np.where(Engine(cut).predict(images) >= 0, 1.0, -1.0)
    filters = signs.shape[-1]
    np.testing.assert_array_equal(Engine(graph).predict(images), signs @ (2 * np.eye(filters) - 1))


@pytest.mark.parametrize("seed", range(10))
def test_a_threshold_agrees_with_float32_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    filters = 40
    scale, bias = rng.uniform(0.01, 1, filters), normal(rng, filters)
    # Boundaries that hit sums exactly, scales of both signs and 0.
    factor = rng.choice([-1.5, -0.3, 0.0, 0.7, 1.0, 3.0], filters).astype(np.float32)
    shift = (-(rng.integers(-9, 10, filters) * scale.astype(np.float32) + bias) * factor).astype(np.float32)
    chain = [g.ScaleShift("bn", ("conv",), factor, shift)]
    if seed % 2:
        chain = [g.ReLU("relu", ("conv",)), g.ScaleShift("bn", ("relu",), factor, shift), g.HardTanh("tanh", ("bn",))]
    assert_signs_follow(*folded(scale, bias, chain), normal(rng, 3, 6, 7, 5))


@pytest.mark.parametrize(("quantizer", "bits"), [(g.Levels(2), 2), (g.Levels(4), 4), (g.Levels(8), 8)])
def test_a_threshold_on_sums_of_levels(quantizer, bits):
    rng = np.random.default_rng(0)
    filters = 40
    chain = [g.ScaleShift("bn", ("conv",), normal(rng, filters), 0.3 * normal(rng, filters))]
    scale = rng.uniform(0.01, 1, filters)
    how = {"quantizer": quantizer, "coding": "levels", "bits": bits}
    assert_signs_follow(*folded(scale, normal(rng, filters), chain, **how), normal(rng, 3, 6, 7, 5))


def test_a_scale_of_zero_makes_a_sign_constant():
    shift = np.array([1.0, -1.0, 0.0, -0.0, np.nan], np.float32)
    graph, cut = folded(np.ones(5), None, [g.ScaleShift("bn", ("conv",), np.zeros(5, np.float32), shift)])
    assert_signs_follow(graph, cut, normal(np.random.default_rng(0), 2, 6, 7, 5))
    assert np.array_equal(Engine(graph).predict(np.ones((1, 6, 7, 5), np.float32))[0, 0, 0], [1, -3, 1, 1, -3])
