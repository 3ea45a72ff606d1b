"""3x3 convolutions by Winograd's F(2x2, 3x3): exact on bytes and small whole numbers, and as near as direct sums otherwise."""

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import SIGN, assert_whole, normal, one, pick, same

from tfq.graph import nodes as g
from tfq.runtime import engine as engine_module
from tfq.runtime.engine import Engine
from tfq.runtime.jit import wide
from tfq.runtime.program.steps import WINOGRAD_FOUR, WINOGRAD_SQUARE, Convolve, SumWindows

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]
PATH = "float32, Winograd"


def convolution(rng, kernel, **how):
    padding = pick(rng, "same", "valid")
    pad_value = pick(rng, 0, 1, -1) if padding == "same" else 0
    shape = (*(int(length) for length in rng.integers(6, 20, 2)), kernel.shape[2])
    return one(g.Conv2D("conv", ("input",), kernel, padding=padding, pad_value=pad_value, **how), shape)


def whole(rng, *shape):
    return rng.integers(-8, 9, shape).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_sums_of_small_whole_numbers_are_exact_on_any_number_of_threads(seed, monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    rng = np.random.default_rng(seed)
    size = (3, 3, *(int(count) for count in rng.integers(16, 80, 2)))
    values = oracle.random_values(rng, size, "ternary")
    graph = convolution(rng, pick(rng, oracle.pack(values, "ternary"), g.FloatKernel(whole(rng, *size))))
    images = whole(rng, 2, *graph.input_shape)
    assert Engine(graph).layers() == [("conv", PATH)]
    wanted = same(graph, images, exact=True)
    for threads in (2, 5):
        np.testing.assert_array_equal(Engine(graph, threads).predict(images[:1]), wanted[:1])


@pytest.mark.parametrize("seed", range(6))
def test_other_sums_are_as_near_as_direct_ones(seed):
    rng = np.random.default_rng(seed)
    size = (3, 3, *(int(count) for count in rng.integers(16, 300, 2)))
    graph = convolution(rng, g.FloatKernel(normal(rng, *size)), bias=normal(rng, size[3]))
    same(graph, normal(rng, 2, *graph.input_shape))


def test_levels_of_16_bits():
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, 32, 48), "levels", 16), "levels", 16)
    graph = convolution(rng, kernel, quantizer=g.Levels(16))
    assert Engine(graph).layers() == [("conv", PATH)]
    same(graph, normal(rng, 2, *graph.input_shape))


@pytest.mark.parametrize(
    ("size", "how"),
    [
        ((3, 3, 15, 16), {}),
        ((3, 3, 16, 15), {}),
        ((1, 3, 16, 16), {}),
        ((5, 5, 16, 16), {}),
        ((3, 3, 16, 16), {"strides": (2, 2)}),
        ((3, 3, 16, 16), {"dilations": (1, 2)}),
        ((3, 3, 16, 32), {"groups": 2}),
    ],
    ids=str,
)
def test_what_has_too_few_or_other_products_takes_other_paths(size, how):
    rng = np.random.default_rng(0)
    shape = (8, 8, size[2] * how.get("groups", 1))
    graph = one(g.Conv2D("conv", ("input",), g.FloatKernel(whole(rng, *size)), **how), shape)
    assert Engine(graph).layers() == [("conv", "float32")]
    same(graph, whole(rng, 2, *graph.input_shape), exact=True)


@pytest.mark.parametrize(("side", "path"), [(3, "float32"), (6, PATH)])
def test_small_images_have_too_few_tiles(side, path):
    rng = np.random.default_rng(0)
    graph = one(g.Conv2D("conv", ("input",), g.FloatKernel(whole(rng, 3, 3, 16, 16))), (side, side, 16))
    assert Engine(graph).layers() == [("conv", path)]
    same(graph, whole(rng, 2, side, side, 16), exact=True)


@pytest.mark.parametrize("at", [(4, 4), (5, 5), (4, 5)])
def test_an_infinity_reaches_the_windows_that_see_it_and_no_others(at):
    rng = np.random.default_rng(0)
    graph = one(g.Conv2D("conv", ("input",), g.FloatKernel(whole(rng, 3, 3, 16, 16))), (12, 12, 16))
    images = whole(rng, 1, 12, 12, 16)
    wanted = Engine(graph).predict(images)
    images[0, *at] = np.inf
    results, seen = Engine(graph).predict(images), np.zeros((12, 12), bool)
    seen[at[0] - 1 : at[0] + 2, at[1] - 1 : at[1] + 2] = True
    np.testing.assert_array_equal(~np.isfinite(results[0]).all(axis=-1), seen)
    np.testing.assert_array_equal(results[0][~seen], wanted[0][~seen])


def on_bytes(rng, size, coding, bits, quantizer, **how):
    """A graph of one convolution whose results are its whole accumulators."""
    n = (2**bits - 1 if coding == "levels" else 1) * quantizer.highest
    kernel = oracle.pack(oracle.random_values(rng, size, coding, bits), coding, bits, n)
    node = g.Conv2D("conv", ("input",), kernel, quantizer=quantizer, pad_value=pick(rng, 0, 1, -1), **how)
    return one(node, (*(2 * int(length) for length in rng.integers(3, 9, 2)), size[2]))


@pytest.mark.parametrize("seed", range(12))
def test_sums_of_bytes_are_exact_on_any_number_of_threads(seed, monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    rng = np.random.default_rng(seed)
    coding, weights, inputs = pick(
        rng, ("levels", 4, 4), ("levels", 3, 6), ("ternary", 2, 6), ("binary", 1, 5), ("integer", 3, 3)
    )
    size = (3, 3, *(int(count) for count in rng.integers((64, 16), (140, 70))))
    graph = on_bytes(rng, size, coding, weights, g.Levels(inputs))
    images = normal(rng, 2, *graph.input_shape)
    assert Engine(graph).layers()[0][1].endswith(" bits, int8, Winograd")
    assert_whole(graph, images)
    wanted = Engine(graph).predict(images)
    for threads in (2, 5):
        np.testing.assert_array_equal(Engine(graph, threads).predict(images[:1]), wanted[:1])


@pytest.mark.parametrize("signs", [np.ones((3, 3)), np.outer([1, -1, 1], [1, -1, 1]), np.outer([1, 1, 1], [-1, 1, -1])])
@pytest.mark.parametrize(("weight", "is_taken"), [(13, True), (-13, True), (15, False)])
def test_weights_up_to_what_a_byte_holds(weight, is_taken, signs):
    """Nine times 13 is 117, a number of a tile; nine times 15 is none that a byte holds."""
    values = np.broadcast_to((weight * signs).astype(np.int64)[..., None, None], (3, 3, 64, 16))
    conv = g.Conv2D("conv", ("input",), oracle.pack(values, "levels", 4, 15 * 63), padding="same", quantizer=g.Levels(6))
    graph = one(conv, (8, 8, 64))
    assert Engine(graph).layers()[0][1].endswith("Winograd") == is_taken
    rng = np.random.default_rng(0)
    assert_whole(graph, np.stack([rng.integers(0, 2, (8, 8, 64)), np.ones((8, 8, 64)), np.zeros((8, 8, 64))]).astype(np.float32))


def test_signs_behind_bytes_are_thresholds():
    rng = np.random.default_rng(0)
    first = on_bytes(rng, (3, 3, 64, 40), "levels", 4, g.Levels(4))
    ones = oracle.pack(2 * np.eye(40, dtype=np.int64)[None, None] - 1, "binary")
    graph = g.Graph(first.input_shape, (first.nodes[0], g.Conv2D("signs", ("conv",), ones, quantizer=SIGN)))
    assert Engine(graph).layers()[0][1].endswith("Winograd, threshold")
    same(graph, normal(rng, 2, *graph.input_shape), exact=True)


@pytest.mark.parametrize(("channels", "bits", "side"), [(63, 5, 8), (64, 7, 8), (64, 5, 7), (64, 5, 4)])
def test_bytes_that_would_not_fit_or_gain_take_direct_sums(channels, bits, side):
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, channels, 16), "levels", 4), "levels", 4, 15 * (2**bits - 1))
    graph = one(g.Conv2D("conv", ("input",), kernel, quantizer=g.Levels(bits)), (side, side, channels))
    assert Engine(graph).layers() == [("conv", f"{bits}x4 bits, int8")]
    assert_whole(graph, normal(rng, 2, side, side, channels))


def takes(graph, kind):
    """Whether the engine takes F(4, 3) along the height, or F(4x4, 3x3); they need many registers."""
    (step,) = Engine(graph)._program.steps(Convolve)
    return (step["kind"] == kind) == wide()


def of_levels(rng, coding, weights, inputs, sizes, windows):
    """A 3x3 convolution of levels with so many channels and filters, and so many windows in height and width."""
    channels, filters = map(int, sizes)
    n = (2**weights - 1 if coding == "levels" else 1) * (2**inputs - 1)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, channels, filters), coding, weights), coding, weights, n)
    padding = pick(rng, "same", "valid")
    pad_value = pick(rng, 0, 1, -1) if padding == "same" else 0
    node = g.Conv2D("conv", ("input",), kernel, padding=padding, quantizer=g.Levels(inputs), pad_value=pad_value)
    more = 2 if padding == "valid" else 0
    return one(node, (*(int(count) + more for count in windows), channels))


@pytest.mark.parametrize("seed", range(16))
def test_sums_of_fours_are_exact_on_any_number_of_threads(seed, monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    rng = np.random.default_rng(seed)
    coding, weights, inputs = pick(rng, ("levels", 4, 4), ("levels", 3, 3), ("levels", 2, 4), ("levels", 4, 3), ("integer", 5, 4))
    graph = of_levels(
        rng, coding, weights, inputs, rng.integers(1, (140, 70)), (4 * int(rng.integers(1, 5)), int(rng.integers(4, 19)))
    )
    images = normal(rng, 2, *graph.input_shape)
    assert takes(graph, WINOGRAD_FOUR)
    assert_whole(graph, images)
    wanted = Engine(graph).predict(images)
    for threads in (2, 5):
        np.testing.assert_array_equal(Engine(graph, threads).predict(images[:1]), wanted[:1])


# Rows of B^T and of G: inputs and weights for which a number is as large or as small as it can be.
_OF_INPUTS = [(4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0)]
_OF_WEIGHTS = [(1, 1, 1), (1, -1, 1)]


@pytest.mark.parametrize("weight", [15, -15, 18, 19])
@pytest.mark.parametrize("signs", _OF_WEIGHTS, ids=str)
def test_fours_take_what_bytes_hold(weight, signs):
    """Seven times 18 is 126; seven times 19 is 133."""
    taps = (weight * np.array(signs))[:, None, None, None]
    kernel = oracle.pack(np.broadcast_to(taps, (3, 3, 20, 16)), "integer", 6, 15)
    graph = one(g.Conv2D("conv", ("input",), kernel, padding="same", quantizer=g.Levels(4)), (12, 8, 20))
    assert takes(graph, WINOGRAD_FOUR) == (abs(weight) < 19 or not wide())
    rows = np.array([[0] * 6, *_OF_INPUTS])
    # Six rows of levels 0 and 15 by the signs of a row of B^T, from the first row that a window sees on.
    images = np.concatenate([rows > 0, rows < 0]).astype(np.float32)
    images = np.tile(np.roll(np.tile(images, 2), -1, axis=1)[:, :, None, None], (1, 1, 8, 20))
    assert_whole(graph, images)


@pytest.mark.parametrize(
    "how", [{"side": 6}, {"side": 3}, {"bits": 5}, {"strides": (2, 2)}, {"dilations": (1, 2)}, {"size": (3, 1)}], ids=str
)
def test_what_makes_no_fours_takes_other_paths(how):
    rng = np.random.default_rng(0)
    side, bits, size = how.pop("side", 8), how.pop("bits", 4), how.pop("size", (3, 3))
    kernel = oracle.pack(oracle.random_values(rng, (*size, 20, 16), "levels", 4), "levels", 4, 15 * (2**bits - 1))
    graph = one(g.Conv2D("conv", ("input",), kernel, padding="same", quantizer=g.Levels(bits), **how), (side, side, 20))
    assert Engine(graph).layers() == [("conv", f"{bits}x4 bits, int8")]
    assert_whole(graph, normal(rng, 2, side, side, 20))


def test_signs_behind_fours_are_thresholds():
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, 24, 40), "levels", 4), "levels", 4, 15 * 15)
    first = g.Conv2D("conv", ("input",), kernel, padding="same", quantizer=g.Levels(4))
    ones = oracle.pack(2 * np.eye(40, dtype=np.int64)[None, None] - 1, "binary")
    graph = g.Graph((8, 9, 24), (first, g.Conv2D("signs", ("conv",), ones, quantizer=SIGN)))
    same(graph, normal(rng, 2, *graph.input_shape), exact=True)


@pytest.mark.parametrize("seed", range(12))
def test_sums_of_squares_are_exact_on_any_number_of_threads(seed, monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    rng = np.random.default_rng(seed)
    coding, weights, inputs = pick(rng, ("levels", 8, 8), ("levels", 7, 7), ("levels", 3, 8), ("integer", 8, 8))
    graph = of_levels(rng, coding, weights, inputs, rng.integers(16, (110, 70)), 4 * rng.integers(4, 7, 2))
    images = normal(rng, 2, *graph.input_shape)
    assert takes(graph, WINOGRAD_SQUARE)
    assert_whole(graph, images)
    wanted = Engine(graph).predict(images)
    for threads in (2, 5):
        np.testing.assert_array_equal(Engine(graph, threads).predict(images[:1]), wanted[:1])


@pytest.mark.parametrize(("channels", "is_taken"), [(57, True), (58, False)])
@pytest.mark.parametrize("signs", [np.ones((3, 3)), np.outer([1, -1, 1], [1, -1, 1]), np.outer([1, 1, 1], [1, -1, 1])])
def test_squares_take_what_26_bits_hold(channels, is_taken, signs):
    """Of nine weights of 255 and 57 channels the largest sum is 33,357,825; 2^25 is 33,554,432."""
    values = np.broadcast_to((255 * signs).astype(np.int64)[..., None, None], (3, 3, channels, 16))
    conv = g.Conv2D("conv", ("input",), oracle.pack(values, "levels", 8, 255 * 255), padding="same", quantizer=g.Levels(8))
    graph = one(conv, (16, 16, channels))
    assert takes(graph, WINOGRAD_SQUARE) == (is_taken or signs.min() < 0 or not wide())
    rows = np.sign(_OF_INPUTS)
    # Levels 0 and 255 by the signs of a row of B^T, from the first row that a window sees on, and likewise in columns.
    lines = [np.roll(np.tile(row, 3)[:16], -1) for row in rows]
    patterns = np.stack([sign * np.outer(a, b) > 0 for sign in (1, -1) for a in lines for b in lines] + [np.ones((16, 16))])
    images = np.broadcast_to(patterns[..., None], (*patterns.shape, channels))
    assert_whole(graph, np.ascontiguousarray(images, np.float32))


@pytest.mark.parametrize(
    ("shape", "filters"), [((16, 14, 16), 16), ((12, 20, 16), 16), ((28, 12, 16), 16), ((16, 16, 15), 16), ((16, 16, 16), 15)]
)
def test_what_makes_no_squares_takes_direct_sums(shape, filters):
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, shape[2], filters), "levels", 8), "levels", 8, 255 * 255)
    graph = one(g.Conv2D("conv", ("input",), kernel, padding="same", quantizer=g.Levels(8)), shape)
    assert Engine(graph).layers() == [("conv", "8x8 bits, int8")]
    assert_whole(graph, normal(rng, 2, *shape))


def test_sums_of_pixels_are_shared_by_convolutions_of_one_tensor():
    rng = np.random.default_rng(0)
    sizes = {"a": (3, 3, 20, 24), "b": (1, 1, 20, 24)}
    kernels = {
        name: oracle.pack(oracle.random_values(rng, size, "levels", 8), "levels", 8, 255 * 255) for name, size in sizes.items()
    }
    how = {"padding": "same", "strides": (2, 2), "quantizer": g.Levels(8)}
    convolutions = [g.Conv2D(name, ("input",), kernel, **how) for name, kernel in kernels.items()]
    graph = g.Graph((9, 10, 20), (*convolutions, g.Add("sum", ("a", "b"))))
    first, second = Engine(graph)._program.steps(SumWindows)
    assert first["pixels"] > second["pixels"] == 0
    assert first["sums"] == second["sums"]
    assert_whole(graph, normal(rng, 2, *graph.input_shape))
