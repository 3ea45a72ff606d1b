"""Convolutions of sequences and transposed ones: exact, packed, and fused as those of images are."""

from dataclasses import replace

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import SIGN, normal, one, pick, same

from tfq.graph import nodes as g
from tfq.graph.check import GraphError
from tfq.runtime import engine as engine_module
from tfq.runtime.engine import Engine

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]
CODINGS = [("binary", 1), ("ternary", 2), ("levels", 2), ("integer", 8)]
QUANTIZERS = [None, SIGN, g.Levels(2), g.Levels(8)]


def random_kernel(rng, *shape):
    coding, bits = pick(rng, *CODINGS)
    return oracle.pack(oracle.random_values(rng, shape, coding, bits), coding, bits, rng.uniform(0.1, 1, shape[-1]))


def assert_same(rng, node, shape):
    """The engine's results, with what a batch normalization and a ReLU make of them, are those of the reference."""
    filters = node.kernel.shape[-1]
    node = replace(node, bias=pick(rng, None, normal(rng, filters)))
    norm = g.ScaleShift("norm", (node.name,), normal(rng, filters), normal(rng, filters))
    same(g.Graph(shape, (node, norm, g.ReLU("relu", ("norm",)))), normal(rng, 3, *shape))


def small(rng, low, high):
    return int(rng.integers(low, high))


@pytest.mark.parametrize("seed", range(40))
def test_sequences(seed):
    rng = np.random.default_rng(seed)
    padding, quantizer, groups = pick(rng, "same", "valid", "causal"), pick(rng, *QUANTIZERS), pick(rng, 1, 1, 2)
    channels, filters = groups * small(rng, 1, 40), groups * small(rng, 1, 40)
    strides = small(rng, 1, 4)
    node = g.Conv1D(
        "conv", ("input",), random_kernel(rng, small(rng, 1, 6), channels // groups, filters), None, (strides,),
        (1 if strides > 1 else small(rng, 1, 4),), padding, groups, quantizer,
        pad_value=0 if padding == "valid" else pick(rng, 0, 1, -1),
    )  # fmt: skip
    assert_same(rng, node, (small(rng, 16, 30), channels))


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("seed", range(30))
def test_transposed(seed, axes):
    rng = np.random.default_rng(seed)
    kind = (g.Conv1DTranspose, g.Conv2DTranspose)[axes - 1]
    size, strides = (tuple(small(rng, 1, most) for _ in range(axes)) for most in (6, 4))
    dilations = tuple(1 if stride > 1 else small(rng, 1, 3) for stride in strides)
    padding = pick(rng, None, tuple(small(rng, 0, stride) for stride in strides))
    channels, filters = small(rng, 1, 40), small(rng, 1, 40)
    node = kind(
        "up", ("input",), random_kernel(rng, *size, channels, filters), None, strides, dilations, pick(rng, "same", "valid"),
        padding, pick(rng, *QUANTIZERS),
    )  # fmt: skip
    assert_same(rng, node, (*(small(rng, 3, 7) for _ in range(axes)), channels))


def test_places_that_no_tap_meets_are_the_bias():
    bias = np.array([0.25, -3], np.float32)
    node = g.Conv2DTranspose("up", ("input",), g.FloatKernel(np.ones((1, 1, 3, 2), np.float32)), bias, (2, 3), padding="valid")
    images = np.full((1, 2, 2, 3), np.inf, np.float32)
    results = Engine(one(node, (2, 2, 3))).predict(images)
    met = np.zeros(results.shape, bool)
    met[:, ::2, ::3] = True
    assert (results[met] == np.inf).all()
    np.testing.assert_array_equal(results[~met].reshape(-1, 2), np.broadcast_to(bias, (results[~met].size // 2, 2)))


def sequence_network(rng):
    """A residual block on a sequence: all that is fused."""

    def conv(name, source, inner, outer, **how):
        kernel = oracle.pack(oracle.random_values(rng, (3, inner, outer), "binary"), "binary", 1, rng.uniform(0.1, 1, outer))
        return g.Conv1D(name, (source,), kernel, quantizer=SIGN, pad_value=1, **how)

    def norm(name, source, channels):
        return g.ScaleShift(name, (source,), normal(rng, channels), normal(rng, channels))

    nodes = (
        g.Conv1D("first", ("input",), g.FloatKernel(normal(rng, 5, 3, 20)), strides=(2,)),
        norm("bn1", "first", 20),
        conv("conv1", "bn1", 20, 40),
        norm("bn2", "conv1", 40),
        conv("conv2", "bn2", 40, 20, padding="causal"),
        norm("bn3", "conv2", 20),
        g.Add("add", ("bn3", "first")),
        g.MaxPool("max", ("add",), (3,), (2,), "same"),
        g.GlobalAveragePool("pool", ("max",)),
        g.Dense("head", ("pool",), g.FloatKernel(normal(rng, 20, 4))),
    )
    return g.Graph((41, 3), nodes)


def test_what_follows_is_computed_in_the_same_step(monkeypatch):
    rng = np.random.default_rng(0)
    graph = sequence_network(rng)
    images = normal(rng, 3, *graph.input_shape)
    wanted, engine = same(graph, images), Engine(graph)
    paths = dict(engine.layers())
    assert paths["conv1"] == "1x1 bits, popcount, windows packed, threshold"
    assert paths["conv2"] == "1x1 bits, popcount"
    assert not {"pack", "ScaleShift", "Add"} & {path for _, path, _ in engine.profile(images, repeats=1)}
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    np.testing.assert_array_equal(Engine(graph, 4).predict(images), wanted)


def test_the_parts_of_a_transposed_convolution_go_by_its_name():
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (4, 4, 40, 8), "binary"), "binary")
    taken = g.ReLU("up/part0", ("input",))
    node = g.Conv2DTranspose("up", ("up/part0",), kernel, strides=(2, 2), quantizer=SIGN)
    graph = g.Graph((5, 6, 40), (taken, node))
    same(graph, normal(rng, 2, 5, 6, 40), exact=True)
    engine = Engine(graph)
    assert engine.layers() == [("up", "1x1 bits, popcount")]
    assert {name for name, *_ in engine.profile(normal(rng, 1, 5, 6, 40), 1)} <= {"up/part0", "up"}


def test_strides_of_more_parts_than_any_network_has_are_refused():
    node = g.Conv2DTranspose("up", ("input",), g.FloatKernel(np.ones((1, 1, 1, 1), np.float32)), strides=(65, 64))
    with pytest.raises(GraphError, match=r"'up' has strides \(65, 64\); the runtime takes a product of 4,096 at most"):
        Engine(one(node, (1, 1, 1)))
