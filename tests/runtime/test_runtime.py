"""The engine of packed networks against NumPy."""

import os
import re
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import runtime_oracle as oracle
from conftest import ROOT

from tfq import runtime
from tfq.graph import check, file, shapes
from tfq.graph import nodes as g
from tfq.runtime import dot, kernels, product, share, steps, vector
from tfq.runtime import engine as engine_module
from tfq.runtime.engine import Engine
from tfq.runtime.jit import intrinsic, njit, target, types

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

SIGN = g.Sign()
# What float32 sums of random order may be off, against the largest value.
CLOSE = 5e-6


def same(graph, images, exact=False):
    """The engine's results, after comparing them with the oracle's."""
    results, wanted = Engine(graph).predict(images), oracle.run(graph, images)
    assert results.shape == wanted.shape
    if exact:
        np.testing.assert_array_equal(results, wanted)
    else:
        np.testing.assert_allclose(results, wanted, rtol=0, atol=CLOSE * max(1.0, np.abs(wanted).max()))
    return results


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def one(node, shape):
    return g.Graph(shape, (node,))


def pick(rng, *values):
    return values[rng.integers(len(values))]


def random_convolution(rng, coding, quantizer, bits=1, channels=None):
    """A graph of one convolution with sums that are whole numbers, and images for it."""
    size = tuple(int(length) for length in rng.integers(1, 5, 2))
    strides = (1, 1) if rng.integers(2) else tuple(int(length) for length in rng.integers(1, 4, 2))
    dilations = tuple(int(length) for length in rng.integers(1, 4, 2)) if strides == (1, 1) else (1, 1)
    padding = pick(rng, "same", "valid")
    pad_value = pick(rng, 0, 1, -1) if padding == "same" else 0
    channels = channels or pick(rng, 1, 3, 8, 16, 24, 31, 32, 33, 48, 64, 70, 96)
    shape = (*(int(length) for length in rng.integers(11, 20, 2)), channels)
    values = oracle.random_values(rng, (*size, channels, int(rng.integers(1, 50))), coding, bits)
    # The scale takes the quotients of the levels back, so that the results are the accumulators.
    n = (2**bits - 1 if coding == "levels" else 1) * (2**quantizer.bits - 1 if isinstance(quantizer, g.Levels) else 1)
    kernel = oracle.pack(values, coding, bits, n)
    node = g.Conv2D(
        "conv", ("input",), kernel, None, strides, dilations, padding, quantizer=quantizer, pad_value=pad_value
    )  # fmt: skip
    return one(node, shape), normal(rng, int(rng.integers(1, 4)), *shape)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("coding", ["binary", "ternary"])
def test_sums_of_signs_are_exact(coding, seed):
    graph, images = random_convolution(np.random.default_rng(seed), coding, SIGN)
    assert "popcount" in Engine(graph).layers()[0][1]
    same(graph, images, exact=True)


@pytest.mark.parametrize("seed", range(40))
def test_sums_of_bit_planes_are_exact(seed):
    rng = np.random.default_rng(seed)
    quantizer, bits = pick(rng, (g.Levels(1), 1), (g.Levels(2), 2), (g.Levels(1), 4), (g.Levels(2), 1), (SIGN, 3), (SIGN, 8))
    coding = pick(rng, "levels" if bits > 1 else "binary", "levels" if bits > 1 else "ternary", "binary", "ternary")
    graph, images = random_convolution(rng, coding, quantizer, bits if coding == "levels" else 1)
    assert "popcount" in Engine(graph).layers()[0][1]
    assert_whole(graph, images)


def assert_whole(graph, images):
    """The engine's results are the float32 next to the oracle's, which are whole numbers but for the last bits of n (1 / n)."""
    results, wanted = Engine(graph).predict(images), oracle.run(graph, images)
    np.testing.assert_array_equal(results, np.rint(wanted).astype(np.float32))


@pytest.mark.parametrize("seed", range(60))
def test_sums_of_bytes_are_exact(seed):
    rng = np.random.default_rng(seed)
    coding, bits = pick(rng, ("levels", 8), ("levels", int(rng.integers(3, 8))), ("levels", 2), ("binary", 1), ("ternary", 2))
    quantizer = g.Levels(int(rng.integers({8: 1, 2: 3, 1: 5}.get(bits if coding == "levels" else 1, 2), 9)))
    graph, images = random_convolution(rng, coding, quantizer, bits)
    assert Engine(graph).layers()[0][1] == f"{quantizer.bits}x{1 if coding != 'levels' else bits} bits, int8"
    assert_whole(graph, images)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("quantizer", "bits", "path"),
    [
        (SIGN, 2, "1x2 bits, popcount"),
        (SIGN, 8, "1x8 bits, popcount"),
        (g.Levels(2), 2, "2x2 bits, popcount"),
        (g.Levels(4), 3, "4x3 bits, int8"),
        (g.Levels(4), 8, "4x8 bits, int8"),  # -128 has no negative in a byte
        (g.Levels(8), 8, "8x8 bits, int8"),
    ],
    ids=str,
)
def test_sums_of_integers_are_exact(quantizer, bits, path, seed):
    graph, images = random_convolution(np.random.default_rng(seed), "integer", quantizer, bits)
    assert Engine(graph).layers()[0][1].startswith(path)
    assert_whole(graph, images)


@pytest.mark.parametrize(("coding", "bits"), [("levels", 9), ("integer", 9), ("integer", 4)])
def test_integers_on_float_inputs(coding, bits):
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, 6, 8), coding, bits), coding, bits, rng.uniform(0.1, 1, 8))
    graph = one(g.Conv2D("conv", ("input",), kernel, strides=(2, 1), groups=2), (7, 8, 12))
    assert Engine(graph).layers() == [("conv", "float32")]
    same(graph, normal(rng, 2, 7, 8, 12))


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("weight", [-255, -1, 1, 255])
def test_the_largest_bytes_do_not_saturate(level, weight):
    values = np.full((3, 3, 20, 3), weight)
    conv = g.Conv2D("conv", ("input",), oracle.pack(values, "levels", 8, 255 * 255), padding="valid", quantizer=g.Levels(8))
    images = np.full((1, 3, 3, 20), level, np.float32)
    assert Engine(one(conv, (3, 3, 20))).predict(images).tolist() == [[[[180 * 255 * level * weight] * 3]]]


def test_products_of_bytes_are_exact():
    rng = np.random.default_rng(0)
    for channels, filters in ((1, 1), (100, 37), (64, 16)):
        kernel = oracle.pack(oracle.random_values(rng, (channels, filters), "levels", 8), "levels", 8, 255 * 255)
        node = g.Dense("dense", ("input",), kernel, None, g.Levels(8))
        assert_whole(one(node, (channels,)), normal(rng, 5, channels))
        assert_whole(one(node, (2, 3, channels)), normal(rng, 5, 2, 3, channels))


@pytest.mark.parametrize(("quantizer", "bits"), [(g.Levels(8), 9), (g.Levels(9), 8), (g.Levels(1), 16), (SIGN, 9)])
def test_what_fits_neither_bits_nor_bytes_is_computed_in_float(quantizer, bits):
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, 5, 7), "levels", bits), "levels", bits)
    graph = one(g.Conv2D("conv", ("input",), kernel, quantizer=quantizer), (6, 7, 5))
    assert Engine(graph).layers() == [("conv", "float32")]
    same(graph, normal(rng, 2, 6, 7, 5))


@pytest.mark.parametrize(("channels", "path"), [(2**14, "8x8 bits, int8"), (2**15, "float32")])
def test_sums_beyond_32_bits_are_computed_in_float(channels, path):
    kernel = oracle.pack(np.full((channels, 1), 255), "levels", 8)
    graph = one(g.Dense("dense", ("input",), kernel, None, g.Levels(8)), (channels,))
    assert Engine(graph).layers() == [("dense", path)]
    np.testing.assert_allclose(Engine(graph).predict(np.ones((1, channels), np.float32)), channels, rtol=2e-5)


@pytest.mark.parametrize("seed", range(20))
def test_float_inputs_are_convolved_in_float(seed):
    rng = np.random.default_rng(seed)
    quantizer, coding, bits = pick(rng, (None, "binary", 1), (None, "levels", 4), (None, "ternary", 2))
    quantizer_or_levels = quantizer or g.Levels(1)
    graph, images = random_convolution(rng, coding, quantizer_or_levels, bits, channels=int(rng.integers(1, 40)))
    node = graph.nodes[0]
    graph = one(
        g.Conv2D(
            "conv", ("input",), node.kernel, normal(rng, node.kernel.shape[-1]), node.strides, node.dilations, node.padding,
            quantizer=quantizer, pad_value=node.pad_value,
        ),
        graph.input_shape,
    )  # fmt: skip
    assert Engine(graph).layers() == [("conv", "float32")]
    same(graph, images)


METHODS = [
    (SIGN, "binary", 1),
    (SIGN, "ternary", 2),
    (None, "ternary", 2),
    (g.Levels(2), "levels", 2),
    (g.Levels(4), "levels", 4),
    (g.Levels(8), "levels", 8),
]


@pytest.mark.parametrize(("quantizer", "coding", "bits"), METHODS)
def test_every_batch_size_and_number_of_threads_gives_the_same(quantizer, coding, bits):
    graph = small_network(np.random.default_rng(1), quantizer, coding, bits)
    images = normal(np.random.default_rng(2), 33, *graph.input_shape)
    wanted = same(graph, images)
    for threads in (1, 2, 3):
        engine = Engine(graph, threads)
        for batch in range(1, 34):
            np.testing.assert_array_equal(engine.predict(images[-batch:]), wanted[-batch:])


@pytest.mark.parametrize(("quantizer", "coding", "bits"), METHODS)
def test_threads_that_share_an_image_compute_the_same(quantizer, coding, bits, monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    taken = []
    monkeypatch.setattr(Engine, "_run_together", counted(Engine._run_together, taken))
    graph = small_network(np.random.default_rng(1), quantizer, coding, bits)
    pixels = np.random.default_rng(2).integers(0, 256, (4, *graph.input_shape), np.uint8)
    wanted, engine = Engine(graph).predict(pixels), Engine(graph, 4)
    for _ in range(25):
        for batch in range(1, 5):
            np.testing.assert_array_equal(engine.predict(pixels[-batch:]), wanted[-batch:])
    assert len(taken) == 75


def test_a_helper_computes_parts_of_a_step():
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, 64, 64), "levels", 8), "levels", 8)
    graph = one(g.Conv2D("conv", ("input",), kernel, quantizer=g.Levels(8)), (64, 64, 64))
    images = normal(rng, 1, 64, 64, 64)
    wanted, engine = Engine(graph).predict(images).reshape(1, -1), Engine(graph, 2)
    rows, memory, outputs = engine._program.rows, engine._memory(), np.empty_like(wanted)
    (convolve,) = rows[rows[:, 0] == kernels.CONVOLVE]
    # Sums of the helper have a place of their own, behind those of the leader.
    size = convolve[4] * convolve[39] * convolve[40] * 16
    of_helper = memory[2][convolve[15] + size :][:size]
    engine._execute(rows, memory, images.reshape(1, -1), outputs, np.zeros(share.SIZE, np.int64), kernels.LEADER)
    np.testing.assert_array_equal(outputs, wanted)
    alone, end = of_helper.copy(), time.monotonic() + 60
    while np.array_equal(of_helper, alone):
        assert time.monotonic() < end
        state = np.zeros(share.SIZE, np.int64)
        helper = threading.Thread(target=engine._execute, args=(rows, memory, outputs[:0], outputs[:0], state, 1))
        helper.start()
        engine._execute(rows, memory, images.reshape(1, -1), outputs, state, kernels.LEADER)
        helper.join()
        np.testing.assert_array_equal(outputs, wanted)


def counted(function, calls):
    def call(*args):
        calls.append(1)
        return function(*args)

    return call


def test_only_images_that_take_long_are_shared():
    def work(size):
        kernel = oracle.pack(np.ones((3, 3, 64, 64)), "binary")
        return Engine(one(g.Conv2D("conv", ("input",), kernel, quantizer=SIGN), (size, size, 64)))._program.work

    # windows, words, vectors of filters
    assert work(32) == 32 * 32 * 9 * 2 * 4 < engine_module.SHARED_WORK
    assert work(128) == 128 * 128 * 9 * 2 * 4 > engine_module.SHARED_WORK


@pytest.mark.parametrize("quantizer", [SIGN, g.Levels(2), g.Levels(8), None])
def test_groups(quantizer):
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, 5, 24), "binary"), "binary", scale=rng.uniform(0.1, 1, 24))
    node = g.Conv2D("conv", ("input",), kernel, normal(rng, 24), (2, 1), groups=4, quantizer=quantizer)
    relu = (node, g.ReLU("relu", ("conv",), 1.5))
    same(g.Graph((9, 8, 20), relu), normal(rng, 3, 9, 8, 20))


@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
@pytest.mark.parametrize("quantizer", [SIGN, g.Levels(8)])
def test_the_map_k(pad_value, strides, quantizer):
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 2, 20, 17), "binary"), "binary", scale=rng.uniform(0.1, 1, 17))
    how = {"strides": strides, "quantizer": quantizer, "pad_value": pad_value, "kmap": True}
    same(one(g.Conv2D("conv", ("input",), kernel, normal(rng, 17), **how), (9, 8, 20)), normal(rng, 3, 9, 8, 20))


@pytest.mark.parametrize("features", [(1,), (100,), (2, 3, 64)])
@pytest.mark.parametrize("quantizer", [SIGN, g.Levels(2), g.Levels(8), None])
def test_products(features, quantizer):
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (features[-1], 37), "levels", 2), "levels", 2)
    same(one(g.Dense("dense", ("input",), kernel, normal(rng, 37), quantizer), features), normal(rng, 5, *features))


BOUNDARIES = np.array([0.0, -0.0, 1e-30, -1e-30, np.inf, -np.inf, np.nan, 1.0, -1.0], np.float32)
SIGNS = [1, 1, 1, -1, 1, -1, -1, 1, -1]


@pytest.mark.parametrize("coding", ["binary", "ternary"])
def test_the_sign_of_zero_is_plus_and_that_of_nan_minus(coding):
    kernel = oracle.pack(np.ones((1, 1)), coding)
    values = Engine(one(g.Dense("dense", ("input",), kernel, None, SIGN), (1,))).predict(BOUNDARIES[:, None])
    np.testing.assert_array_equal(values[:, 0], SIGNS)
    values = Engine(one(g.Quantize("sign", ("input",), SIGN), (1,))).predict(BOUNDARIES[:, None])
    np.testing.assert_array_equal(values[:, 0], SIGNS)


def test_levels_round_ties_to_even():
    images = np.array([[-1.0, 0.0, 1 / 6, 0.5, 5 / 6, 1.0, 7.0, np.inf, -np.inf]], np.float32)
    levels = Engine(one(g.Quantize("levels", ("input",), g.Levels(2)), (9,))).predict(images)
    # 3 x is 0.5 (to 0), 1.5 (to 2) and 2.5 (to 2) in float32 too.
    np.testing.assert_array_equal(np.rint(3 * levels), [[0, 0, 0, 2, 2, 3, 3, 3, 0]])


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


def small_network(rng, quantizer=SIGN, coding="binary", bits=1, pad_value=0, kmap=False):
    """A residual block with a shortcut, pools, both kinds of edges: all that is fused, and what is not."""

    def conv(name, source, size, inner, outer, strides=1, bias=False):
        kernel = oracle.pack(
            oracle.random_values(rng, (size, size, inner, outer), coding, bits), coding, bits, rng.uniform(0.05, 0.2, outer)
        )
        return g.Conv2D(
            name, (source,), kernel, normal(rng, outer) if bias else None, (strides,) * 2, quantizer=quantizer,
            pad_value=pad_value if size > 1 else 0, kmap=kmap,
        )  # fmt: skip

    def norm(name, source, channels):
        return g.ScaleShift(name, (source,), normal(rng, channels), normal(rng, channels))

    nodes = (
        g.Conv2D("first", ("input",), g.FloatKernel(normal(rng, 3, 3, 3, 20)), normal(rng, 20)),
        norm("bn1", "first", 20),
        conv("shortcut", "bn1", 1, 20, 40, 2),
        conv("conv1", "bn1", 3, 20, 18, 2),
        norm("bn2", "conv1", 18),
        conv("conv2", "bn2", 3, 18, 40),
        g.Add("add", ("shortcut", "conv2")),
        norm("bn3", "add", 40),
        conv("conv3", "bn3", 3, 40, 40, bias=True),
        g.ReLU("relu3", ("conv3",)),
        g.Add("add2", ("add", "relu3")),
        g.MaxPool("max", ("add2",), (3, 3), (2, 2), "same"),
        g.AveragePool("mean", ("add2",), (3, 3), (2, 2), "same"),
        g.Concatenate("both", ("max", "mean")),
        norm("bn4", "both", 80),
        g.HardTanh("tanh", ("bn4",)),
        g.GlobalAveragePool("pool", ("tanh",)),
        g.GlobalMaxPool("pool2", ("tanh",), True),
        g.Reshape("flat", ("pool2",), (80,)),
        g.Add("pools", ("pool", "flat", "pool")),
        g.Dense("head", ("pools",), g.FloatKernel(normal(rng, 80, 10)), normal(rng, 10)),
    )
    return g.Graph((12, 11, 3), nodes, np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.25]))


@pytest.mark.parametrize(("quantizer", "coding", "bits"), METHODS)
@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_a_network(quantizer, coding, bits, pad_value):
    rng = np.random.default_rng(3)
    graph = small_network(rng, quantizer, coding, bits, pad_value)
    same(graph, normal(rng, 4, *graph.input_shape))


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
        match rng.integers(10):
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


def test_pixels_are_scaled_in_float32():
    rng = np.random.default_rng(0)
    graph = small_network(rng)
    pixels = rng.integers(0, 256, (35, *graph.input_shape), np.uint8)
    images = (pixels.astype(np.float32) / np.float32(255) - graph.pixel_mean.astype(np.float32)) / graph.pixel_std.astype(
        np.float32
    )
    engine = Engine(graph, threads=2)
    np.testing.assert_array_equal(engine.predict(pixels), engine.predict(images))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((12, 11, 3), np.float32), r"expected images of shape \(n, 12, 11, 3\); got \(12, 11, 3\)"),
        (np.zeros((2, 12, 11, 4), np.float32), r"expected images of shape \(n, 12, 11, 3\); got \(2, 12, 11, 4\)"),
        (np.zeros((2, 12, 11, 3)), "expected uint8 or float32 images; got float64"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        Engine(small_network(np.random.default_rng(0))).predict(images)


def test_pixels_are_refused_without_mean_and_deviation():
    graph = one(g.ReLU("relu", ("input",)), (4,))
    with pytest.raises(ValueError, match="holds no mean and deviation for uint8 pixels; got uint8"):
        Engine(graph).predict(np.zeros((1, 4), np.uint8))


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_are_a_positive_integer(threads):
    with pytest.raises(ValueError, match=f"threads must be a positive integer; got threads={threads}"):
        Engine(one(g.ReLU("relu", ("input",)), (4,)), threads)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (g.ReLU("relu", ("nothing",)), "'relu' takes 'nothing', which does not come before it"),
        (g.Dense("dense", ("input",), g.FloatKernel(np.ones((4, 2), np.float32))), r"'dense': a kernel \(4, 2\) does not fit"),
        (g.MaxPool("pool", ("input",), (6, 6)), r"'pool' moves a window of \(6, 6\) over \(5, 5\), which is smaller"),
        (g.Reshape("flat", ("input",), (74,)), r"'flat' reshapes \(5, 5, 3\) to \(74,\), which holds another number"),
    ],
)
def test_operations_that_do_not_fit_together_are_refused(node, message):
    with pytest.raises(ValueError, match=message):
        Engine(one(node, (5, 5, 3)))


def test_images_that_may_not_be_written_need_no_other_code():
    engine = Engine(small_network(np.random.default_rng(0)))
    images = np.ones((3, 12, 11, 3), np.float32)
    wanted = engine.predict(images)
    compiled = len(kernels.run.signatures)
    images.flags.writeable = False
    np.testing.assert_array_equal(engine.predict(images), wanted)
    np.testing.assert_array_equal(engine.predict(images[::-1, :, ::-1])[::-1], engine.predict(images[:, :, ::-1].copy()))
    assert len(kernels.run.signatures) == compiled


def test_an_empty_batch():
    graph = small_network(np.random.default_rng(0))
    assert Engine(graph, 2).predict(np.zeros((0, 12, 11, 3), np.float32)).shape == (0, 10)


def test_callers_take_turns_at_sharing_an_image(monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    rng = np.random.default_rng(0)
    graph = small_network(rng)
    engine = Engine(graph, threads=2)
    images = normal(rng, 40, *graph.input_shape)
    wanted = engine.predict(images)
    end, wrong, calls = time.monotonic() + 1, [], []

    def call(seed):
        rng = np.random.default_rng(seed)
        while time.monotonic() < end:
            first, size = rng.integers(0, 20), rng.integers(1, 20)
            if not np.array_equal(engine.predict(images[first : first + size]), wanted[first : first + size]):
                wrong.append((first, size))
            calls.append(size)

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    assert len(calls) > 30
    # Working memory is handed on from call to call: one for each caller, one for each thread of the engine.
    assert len(engine._idle) <= 8 + 1


def run_python(program, **environment):
    path = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout


def test_the_runtime_loads_no_framework():
    program = """
import sys, numpy as np
import tfq.runtime
from tfq.graph import nodes as g
assert "numba" not in sys.modules
engine = tfq.runtime.Engine(g.Graph((2,), (g.ReLU("relu", ("input",)),)))
assert engine.predict(np.array([[1, -1]], np.float32)).tolist() == [[1, 0]]
print(sorted({"keras", "tensorflow", "jax", "torch", "tf_keras"} & {name.split(".")[0] for name in sys.modules}))
"""
    assert run_python(program).strip() == "[]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    program = """
import os, signal
import numpy as np
import tfq.runtime
from tfq.graph import nodes as g
engine = tfq.runtime.Engine(g.Graph((2,), (g.ReLU("relu", ("input",)),)), threads=2)
images = np.array([[1, -1]] * 5, np.float32)
engine.predict(images)
child = os.fork()
if not child:
    signal.alarm(60)  # ends it where it waits for threads that are not there
    os._exit(0 if engine.predict(images).tolist() == [[1, 0]] * 5 else 1)
print(os.waitpid(child, 0)[1])
"""
    assert run_python(program).strip() == "0"


def test_a_missing_numba_is_an_error_that_names_the_extra():
    program = """
import sys
sys.modules["numba"] = None
import tfq.runtime
try:
    tfq.runtime.Engine
except ImportError as error:
    print(error)
"""
    assert run_python(program).strip() == "this needs `numba`, which is not installed: pip install 'tfq[runtime]'"


WAYS_OF_BYTES = [
    (dot._OneProduct(), None),
    (dot._TwoProducts("llvm.x86.sse2.pmadd.wd", 4), "sse2"),
    (dot._TwoProducts("llvm.x86.avx2.pmadd.wd", 8), "avx2"),
    (dot._TwoProducts("llvm.x86.avx512.pmaddw.d.512", 16), "avx512bw"),
    (dot._FourProducts(8), "avx512vnni"),
    (dot._FourProducts(16), "avx512vnni"),
]


@pytest.mark.parametrize(("way", "needed"), WAYS_OF_BYTES)
def test_every_way_to_multiply_bytes_is_exact(way, needed):
    triple, features = target()
    if needed and not (triple.startswith("x86_64") and needed in features):
        pytest.skip(f"this processor has no {needed}")

    @intrinsic
    def add_products(typingctx, total, word, weights):
        def codegen(context, builder, signature, args):
            return way.add(builder, args[0], way.inputs(builder, args[1]), way.weights(builder, args[2]))

        return vector.ints(vector.ints, types.uint32, vector.ints), codegen

    @njit
    def compute(words, weights, totals):
        for i in range(len(words)):
            result = add_products(vector.load_ints(totals, 16 * i), words[i], vector.load_ints(weights, 16 * i))
            vector.store_ints(totals, 16 * i, result)

    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (300, 4), np.uint8), rng.integers(-128, 128, (300, 16, 4), np.int8)
    x[0], w[0], x[1], w[1] = 255, -128, 255, 127
    totals = rng.integers(-(2**20), 2**20, (300, 16)).astype(np.int32)
    wanted = totals + np.einsum("ij,ikj->ik", x.astype(np.int32), w.astype(np.int32))
    compute(x.view("<u4").reshape(-1), w.view("<i4").reshape(-1), totals.reshape(-1))
    np.testing.assert_array_equal(totals, wanted)


BASELINE = """
import sys
sys.modules["conftest"] = type(sys)("conftest")
sys.modules["conftest"].ROOT = None
import numpy as np
import test_runtime as t
for seed in range(6):
    for coding in ("binary", "ternary"):
        t.test_sums_of_signs_are_exact(coding, seed)
    t.test_sums_of_bit_planes_are_exact(seed)
    t.test_sums_of_bytes_are_exact(seed)
    t.test_float_inputs_are_convolved_in_float(seed)
    t.test_a_threshold_agrees_with_float32_to_the_last_bit(seed)
t.test_levels_round_ties_to_even()
t.test_a_network(t.SIGN, "binary", 1, 0)
t.test_a_network(t.g.Levels(2), "levels", 2, 1)
t.test_a_network(t.g.Levels(8), "levels", 8, -1)
t.test_the_largest_bytes_do_not_saturate(1.0, -255)
from tfq.runtime import kernels
(assembly,) = kernels.run.inspect_asm().values()
print(*[name for name in ("popcnt", "vpdpbusd", "zmm", "ymm", "pmaddwd") if name in assembly])
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names an x86-64 processor")
@pytest.mark.parametrize(
    ("name", "features", "used"),
    [
        ("x86-64", "", ["pmaddwd"]),
        ("haswell", "+avx,+avx2,+fma,+popcnt,+sse4.2,+ssse3", ["ymm", "pmaddwd"]),
    ],
)
def test_a_processor_without_avx_512_and_one_without_avx_and_popcnt(name, features, used, tmp_path):
    if "avx2" in features and "avx2" not in target()[1]:
        pytest.skip("this processor has no AVX2")
    environment = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    assert run_python(BASELINE, **environment).split() == used


def test_code_on_disk_is_as_old_as_any_of_its_sources():
    from tfq.runtime import jit

    # numba itself would compare the time of kernels.py alone.
    assert len(kernels.run._cache._cache_file._source_stamp) == 64
    files = (ROOT / "tfq" / "runtime").glob("*.py")
    compiled = {file.name for file in files if re.search(r"^@(cached|njit|intrinsic|overload)", file.read_text(), re.MULTILINE)}
    assert {"kernels.py", "tile.py"} <= compiled <= set(jit._SOURCES)


def test_an_operation_without_a_step_is_refused():
    writer = object.__new__(steps._Writer)
    writer.plan = SimpleNamespace(shapes={"x": (4, 4, 2)})
    with pytest.raises(TypeError, match="mine: SimpleNamespace is an operation that no step computes"):
        writer._plain(SimpleNamespace(name="mine", inputs=("x",)))


# --- small files cannot ask for much


def borders(height, width):
    """A binary convolution as large as its image: each window lies another way over the borders."""
    kernel = oracle.pack(oracle.random_values(np.random.default_rng(0), (height, width, 1, 1), "binary"), "binary")
    return g.Graph((height, width, 1), (g.Conv2D("conv", ("input",), kernel, quantizer=g.Sign(), pad_value=1),))


def test_a_kernel_as_large_as_its_image():
    graph = borders(5, 9)
    same(graph, normal(np.random.default_rng(1), 3, 5, 9, 1))


def test_kinds_of_windows_are_counted_before_they_are_made():
    steps.write(borders(1, 20_000))
    graph = borders(1, 20_000)
    with pytest.raises(check.GraphError, match="'conv' has 4200 x 4200 kinds of windows at its borders, for 1 filters: more"):
        product.accumulator(graph.nodes[0], huge(4200), 0)


def huge(size):
    """Its windows alone count."""
    window = shapes.window(size, size, 1)
    return product.Geometry((window, window), (size, size), (1, 1), (1, 1), size, 1, (size, size, 1))


def dilated(name, dilations):
    kernel_shape = tuple(1 + (dilation > 1) for dilation in dilations)
    kernel = oracle.pack(oracle.random_values(np.random.default_rng(0), (*kernel_shape, 1, 1), "binary"), "binary")
    return g.Conv2D(name, ("input",), kernel, dilations=dilations, quantizer=g.Sign())


def test_margins_that_are_too_large_together_are_refused(tmp_path):
    nodes = (dilated("a", (2**27, 1)), dilated("b", (1, 2**27)), g.Add("sum", ("a", "b")))
    file.write(g.Graph((1, 1, 1), nodes), tmp_path / "model.tfq")
    with pytest.raises(file.FileError, match=r"model\.tfq cannot be run: 'b' and others pad \(1, 1, 1\) to "):
        runtime.load(tmp_path / "model.tfq")


def test_a_network_of_too_many_large_tensors_is_refused():
    names = [f"relu{index}" for index in range(20)]
    nodes = [g.ReLU(name, ("input",), max_value=float(1 + index)) for index, name in enumerate(names)]
    pooled = [g.GlobalMaxPool(f"pool{name}", (name,)) for name in names]
    graph = g.Graph((2**13, 2**13, 2), (*nodes, *pooled, g.Concatenate("all", tuple(node.name for node in pooled))))
    with pytest.raises(check.GraphError, match=r"an image needs \d+ GiB of memory; allowed are 4"):
        steps.write(graph)
