"""Depthwise convolutions: one step for all channels, exact, and the same as one step a channel."""

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import SIGN, assert_whole, normal, one, pick, same

from tfq.graph import nodes as g
from tfq.runtime import engine as engine_module
from tfq.runtime.engine import Engine
from tfq.runtime.plan import paths
from tfq.runtime.program import threshold

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]
PATH = "float32, depthwise"
CODINGS = [("binary", 1), ("ternary", 2), ("levels", 2), ("levels", 8), ("integer", 2), ("integer", 8)]


def random_depthwise(rng, quantizer):
    """A graph of one depthwise convolution, on windows of any kind, and images for it."""
    coding, bits = pick(rng, *CODINGS)
    size = tuple(int(length) for length in rng.integers(1, 5, 2))
    strides = tuple(int(length) for length in rng.integers(1, 4, 2))
    dilations = tuple(int(length) for length in rng.integers(1, 4, 2)) if strides == (1, 1) else (1, 1)
    padding = pick(rng, "same", "valid")
    channels, of_channel = pick(rng, (2, 1), (16, 1), (31, 1), (48, 1), (70, 1), (3, 2), (17, 3), (5, 15))
    shape = (*(int(length) for length in rng.integers(11, 20, 2)), channels)
    values = oracle.random_values(rng, (*size, 1, channels * of_channel), coding, bits)
    # The scale takes the quotients of the levels back, so that the results are the sums.
    n = (2**bits - 1 if coding == "levels" else 1) * (2**quantizer.bits - 1 if isinstance(quantizer, g.Levels) else 1)
    pad_value = pick(rng, 0, 1, -1) if padding == "same" else 0
    how = {"groups": channels, "quantizer": quantizer, "pad_value": pad_value}
    node = g.Conv2D("conv", ("input",), oracle.pack(values, coding, bits, n), None, strides, dilations, padding, **how)
    return one(node, shape), normal(rng, int(rng.integers(1, 4)), *shape)


@pytest.mark.parametrize("seed", range(30))
def test_sums_of_quantized_inputs_are_exact(seed):
    rng = np.random.default_rng(seed)
    graph, images = random_depthwise(rng, pick(rng, SIGN, g.Levels(1), g.Levels(2), g.Levels(8)))
    assert Engine(graph).layers() == [("conv", PATH)]
    assert_whole(graph, images)


@pytest.mark.parametrize("seed", range(10))
def test_inputs_that_are_not_quantized(seed):
    graph, images = random_depthwise(np.random.default_rng(seed), None)
    assert Engine(graph).layers() == [("conv", PATH)]
    same(graph, images)


@pytest.mark.parametrize(
    ("channels", "filters", "of_group"),
    [(4, 64, 1), (8, 16, 2), (1, 16, 1)],
    ids=["a vector of filters a channel", "two channels a group", "one channel"],
)
def test_what_fills_vectors_of_filters_by_itself_takes_other_paths(channels, filters, of_group):
    rng = np.random.default_rng(0)
    kernel = g.FloatKernel(normal(rng, 3, 3, of_group, filters))
    graph = one(g.Conv2D("conv", ("input",), kernel, normal(rng, filters), groups=channels // of_group), (7, 6, channels))
    assert Engine(graph).layers() == [("conv", "float32")]
    same(graph, normal(rng, 2, 7, 6, channels))


def separable(rng, of_channel, quantizer, coding, bits):
    """Depthwise and pointwise convolutions with all that is computed in passing."""
    wide = 20 * of_channel

    def conv(name, source, shape, **how):
        kernel = oracle.pack(oracle.random_values(rng, shape, coding, bits), coding, bits, rng.uniform(0.1, 1, shape[-1]))
        return g.Conv2D(name, (source,), kernel, normal(rng, shape[-1]), quantizer=quantizer, **how)

    def norm(name, source, channels):
        return g.ScaleShift(name, (source,), normal(rng, channels), normal(rng, channels))

    nodes = (
        conv("spread", "input", (3, 3, 1, wide), groups=20, strides=(2, 1), pad_value=1),
        norm("bn1", "spread", wide),
        g.ReLU("relu1", ("bn1",), 2.0),
        norm("bn2", "relu1", wide),
        conv("point", "bn2", (1, 1, wide, 20)),
        conv("spread2", "point", (2, 3, 1, 20), groups=20),
        norm("bn3", "spread2", 20),
        g.HardTanh("tanh", ("bn3",)),
        g.Add("add", ("tanh", "point")),
        conv("point2", "add", (1, 1, 20, 9)),
    )
    return g.Graph((9, 7, 20), nodes)


@pytest.mark.parametrize("of_channel", [1, 2])
@pytest.mark.parametrize(
    ("quantizer", "coding", "bits"), [(SIGN, "binary", 1), (g.Levels(2), "levels", 2), (g.Levels(4), "integer", 4)]
)
def test_what_follows_is_computed_in_the_same_step(of_channel, quantizer, coding, bits, monkeypatch):
    rng = np.random.default_rng(0)
    graph = separable(rng, of_channel, quantizer, coding, bits)
    images = normal(rng, 3, *graph.input_shape)
    wanted, engine = same(graph, images), Engine(graph)
    assert [path == PATH for _, path in engine.layers()] == [True, False, True, False]
    steps = [path for _, path, _ in engine.profile(images, repeats=1)]
    assert steps.count(PATH) == 2
    # What the sum reads is packed in passing, and no batch normalization is a tensor.
    assert not {"pack", "ScaleShift", "Add"} & set(steps)
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    np.testing.assert_array_equal(Engine(graph, 4).predict(images), wanted)
    # One step a channel gives the same to the last bit.
    monkeypatch.setattr(paths, "MOST_FILTERS_A_CHANNEL", 0)
    assert PATH not in dict(Engine(graph).layers()).values()
    np.testing.assert_array_equal(Engine(graph).predict(images), wanted)


@pytest.mark.parametrize("seed", range(5))
def test_signs_behind_it_agree_with_float32_on_exact_sums_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    channels = 40
    whole = oracle.random_values(rng, (3, 3, 1, channels), "ternary")
    scale, bias = rng.uniform(0.01, 1, channels).astype(np.float32), normal(rng, channels)
    # Boundaries that hit sums exactly, scales of both signs and 0.
    factor = rng.choice([-1.5, -0.3, 0.0, 0.7, 1.0, 3.0], channels).astype(np.float32)
    shift = (-(rng.integers(-5, 6, channels) * scale + bias) * factor).astype(np.float32)
    norm = g.ScaleShift("bn", ("conv",), factor, shift)
    kernel = oracle.pack(whole, "ternary", scale=scale)
    identity = oracle.pack(2 * np.eye(channels)[None, None] - 1, "binary")
    shown = g.Conv2D("shown", ("bn",), identity, quantizer=SIGN)
    nodes = (g.Conv2D("conv", ("input",), kernel, bias, groups=channels, quantizer=SIGN), norm, shown)
    images = normal(rng, 3, 6, 7, channels)
    exact = g.Conv2D("conv", ("input",), oracle.pack(whole, "ternary"), groups=channels, quantizer=SIGN).compute(images)
    values = threshold.apply(norm, exact.astype(np.float32) * scale + bias)
    assert np.any(values == 0)
    signs = np.where(values >= 0, 1.0, -1.0)
    wanted = signs @ (2 * np.eye(channels) - 1)
    np.testing.assert_array_equal(Engine(g.Graph((6, 7, channels), nodes)).predict(images), wanted)
