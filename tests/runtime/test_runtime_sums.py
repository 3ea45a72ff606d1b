"""Convolutions and products of every arithmetic, against NumPy."""

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import SIGN, assert_whole, borders, normal, one, pick, random_convolution, same

from tfq.graph import nodes as g
from tfq.runtime.engine import Engine
from tfq.runtime.jit import wide
from tfq.runtime.program.steps import TWO_BITS, XOR, Convolve

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


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


@pytest.mark.parametrize("seed", range(20))
def test_sums_of_two_bits_times_two_are_exact(seed):
    graph, images = random_convolution(np.random.default_rng(seed), "levels", g.Levels(2), 2)
    (step,) = Engine(graph)._program.steps(Convolve)
    assert step["kind"] == (TWO_BITS if wide() else XOR)
    assert_whole(graph, images)


@pytest.mark.parametrize("seed", range(60))
def test_sums_of_bytes_are_exact(seed):
    rng = np.random.default_rng(seed)
    coding, bits = pick(rng, ("levels", 8), ("levels", int(rng.integers(3, 8))), ("levels", 2), ("binary", 1), ("ternary", 2))
    quantizer = g.Levels(int(rng.integers({8: 1, 2: 3, 1: 5}.get(bits if coding == "levels" else 1, 2), 9)))
    graph, images = random_convolution(rng, coding, quantizer, bits)
    path = f"{quantizer.bits}x{1 if coding != 'levels' else bits} bits, int8"
    assert Engine(graph).layers()[0][1].removesuffix(", Winograd") == path
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
    ((_, taken),) = Engine(graph).layers()
    assert taken.startswith(path)
    assert taken.endswith(", integer") == ("popcount" in path)
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
    assert Engine(graph).layers()[0][1] in ("float32", "float32, Winograd")
    same(graph, images)


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


def test_a_kernel_as_large_as_its_image():
    graph = borders(5, 9)
    same(graph, normal(np.random.default_rng(1), 3, 5, 9, 1))


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
