"""Convolutions of height 5 by Winograd's F(4, 5) along columns: near direct sums, and direct where it matters."""

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import normal, one, pick, same

from tfq.graph import nodes as g
from tfq.runtime import engine as engine_module
from tfq.runtime.engine import Engine
from tfq.runtime.program.along_columns import matrices
from tfq.runtime.program.steps import Convolve

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]
PATH = "float32, Winograd"
EPSILON = 2.0**-24


def convolution(kernel, shape, padding="same", pad_value=0, **how):
    """With a bias unless it is said otherwise, since sums without one are computed one by one."""
    how = {"bias": np.ones(kernel.shape[-1], np.float32)} | how
    return one(g.Conv2D("conv", ("input",), g.FloatKernel(kernel), padding=padding, pad_value=pad_value, **how), shape)


def padded(graph, images):
    """The images with the margin of their convolution."""
    node = graph.nodes[0]
    if node.padding == "valid":
        return images
    height, width = node.kernel.shape[:2]
    around = [(0, 0), ((height - 1) // 2, height // 2), ((width - 1) // 2, width // 2), (0, 0)]
    return np.pad(images, around, constant_values=node.pad_value)


def windows(images, size):
    """(images, height, width, *size, channels)."""
    found = np.lib.stride_tricks.sliding_window_view(images, size, axis=(1, 2))
    return found.transpose(0, 1, 2, 4, 5, 3)


def direct(graph, images):
    """Sums in the type of the images, and the bias."""
    kernel = graph.nodes[0].kernel.values.astype(images.dtype)
    sums = np.einsum("nyxijc,ijcf->nyxf", windows(padded(graph, images), kernel.shape[:2]), kernel, optimize=True)
    return sums + graph.nodes[0].bias.astype(images.dtype)


def bound(graph, images):
    """What each result may be off: 20 roundings and one a product, of the sum of the sizes of all that is added."""
    to_results, to_kernels, to_rows = map(np.abs, matrices())
    kernel = np.abs(graph.nodes[0].kernel.values.astype(np.float64))
    seen = np.abs(padded(graph, images.astype(np.float64)))
    seen = np.pad(seen, [(0, 0), (0, -(seen.shape[1] - 4) % 4), (0, 0), (0, 0)])
    rows = np.einsum("nk,btwck->btnwc", to_rows, np.lib.stride_tricks.sliding_window_view(seen, 8, axis=1)[:, ::4])
    numbers = np.einsum("nk,kjcf->njcf", to_kernels, kernel)
    columns = np.lib.stride_tricks.sliding_window_view(rows, kernel.shape[1], axis=3)
    sums = np.einsum("btnxcj,njcf->btnxf", columns, numbers, optimize=True)
    results = np.einsum("jn,btnxf->btjxf", to_results, sums)
    results = results + np.abs(graph.nodes[0].bias)
    return (kernel[0, ..., 0].size + 20) * EPSILON * results.reshape(len(images), -1, *results.shape[3:])


def random_convolution(rng, **how):
    """A convolution of any size that is computed along columns, and images for it."""
    width, channels = int(rng.integers(1, 7)), int(rng.integers(2, 20))
    padding = pick(rng, "same", "valid")
    shape = (int(rng.integers(8, 20)), int(rng.integers(14, 45)), channels)
    kernel = normal(rng, 5, width, channels, int(rng.integers(16, 70)))
    graph = convolution(kernel, shape, padding, pick(rng, 0, 1, -1) if padding == "same" else 0, **how)
    assert Engine(graph).layers() == [("conv", PATH)]
    return graph, normal(rng, 2, *shape)


@pytest.mark.parametrize("seed", range(30))
def test_sums_are_within_what_their_roundings_may_add_up_to(seed):
    graph, images = random_convolution(np.random.default_rng(seed))
    results, wanted = Engine(graph).predict(images), direct(graph, images.astype(np.float64))
    assert (np.abs(results - wanted) <= bound(graph, images)[:, : wanted.shape[1]]).all()
    same(graph, images)


def test_sums_of_a_first_convolution_lose_two_bits_at_most():
    """Root of the mean square error against direct sums in float32."""
    rng = np.random.default_rng(0)
    graph = convolution(normal(rng, 5, 5, 3, 192), (32, 32, 3))
    images = normal(rng, 2, 32, 32, 3)
    wanted = direct(graph, images.astype(np.float64))
    one_by_one = np.zeros(wanted.shape, np.float32)
    for term in np.ndindex(5, 5, 3):
        one_by_one += windows(padded(graph, images), (5, 5))[:, :, :, *term][..., None] * graph.nodes[0].kernel.values[term]
    one_by_one += graph.nodes[0].bias
    lost, usual = (np.sqrt(np.mean((sums - wanted) ** 2)) for sums in (Engine(graph).predict(images), one_by_one))
    assert lost < 4 * usual


@pytest.mark.parametrize("height", range(8, 16))
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_any_number_of_rows(height, padding):
    rng = np.random.default_rng(height)
    graph = convolution(normal(rng, 5, 5, 3, 40), (height, 17, 3), padding, int(padding == "same"), bias=normal(rng, 40))
    assert Engine(graph).layers() == [("conv", PATH)]
    same(graph, normal(rng, 3, *graph.input_shape))


@pytest.mark.parametrize("seed", range(8))
def test_threads_compute_the_same(seed, monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    rng = np.random.default_rng(seed)
    graph, images = random_convolution(rng)
    images[0, 5, 3, 1] = pick(rng, 0, np.inf)
    wanted = Engine(graph).predict(images)
    for threads in (2, 5):
        engine = Engine(graph, threads)
        for _ in range(5):
            np.testing.assert_array_equal(engine.predict(images[:1]), wanted[:1])
        np.testing.assert_array_equal(engine.predict(images), wanted)


@pytest.mark.parametrize("at", [(0, 0), (9, 16), (6, 7), (3, 30), (16, 30)])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_reaches_the_windows_that_see_it_and_no_others(at, value):
    rng = np.random.default_rng(0)
    graph = convolution(normal(rng, 5, 3, 3, 36), (17, 31, 3))
    images = normal(rng, 1, 17, 31, 3)
    images[0, *at, 2] = value
    results, wanted = Engine(graph).predict(images), direct(graph, images.astype(np.float64))
    finite = np.isfinite(wanted)
    assert not finite.all()
    np.testing.assert_array_equal(results[~finite], wanted[~finite])
    np.testing.assert_allclose(results[finite], wanted[finite], rtol=0, atol=1e-4)


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("part", [1, 0.1, 0.01])
def test_large_numbers_do_not_overflow_where_direct_sums_would_not(number, part):
    """Signs that make a combined row and its weights large."""
    _, to_kernels, to_rows = matrices()
    kernel = normal(np.random.default_rng(number), 5, 5, 3, 16)
    kernel = np.abs(kernel) * np.sign(to_kernels[number] + 1e-9).astype(np.float32)[:, None, None, None]
    size = part * 3e38 / np.abs(kernel).sum(axis=(0, 1, 2)).max()
    images = np.broadcast_to(size * np.sign(to_rows[number])[:, None, None], (1, 8, 16, 3)).astype(np.float32)
    results = Engine(convolution(kernel, (8, 16, 3), "valid")).predict(images)
    wanted = direct(convolution(kernel, (8, 16, 3), "valid"), images.astype(np.float64))
    np.testing.assert_allclose(results / np.float32(size), wanted / size, rtol=0, atol=1e-3)


def test_what_follows_sees_the_sums():
    rng = np.random.default_rng(0)
    kernel = normal(rng, 5, 5, 3, 48)
    first = g.Conv2D("conv", ("input",), g.FloatKernel(kernel), normal(rng, 48))
    norm, relu = g.ScaleShift("norm", ("conv",), normal(rng, 48), normal(rng, 48)), g.ReLU("relu", ("norm",))
    shifted = g.ScaleShift("shifted", ("relu",), normal(rng, 48), normal(rng, 48))
    ones = oracle.pack(2 * np.eye(48, dtype=np.int64)[None, None] - 1, "binary")
    shape = (14, 18, 3)
    images = normal(rng, 2, *shape)
    floats = same(g.Graph(shape, (first, norm, relu, shifted)), images)
    signs = g.Graph(shape, (first, norm, relu, shifted, g.Conv2D("signs", ("shifted",), ones, quantizer=g.Sign())))
    assert ("conv", PATH) in Engine(signs).layers()
    positive = np.where(floats >= 0, 1, -1)
    np.testing.assert_array_equal(Engine(signs).predict(images), 2 * positive - positive.sum(axis=-1, keepdims=True))
    same(g.Graph(shape, (first, norm, g.Add("add", ("conv", "norm")))), images)


def test_a_filter_of_zeros_gives_its_bias():
    rng = np.random.default_rng(0)
    kernel = normal(rng, 5, 5, 3, 20)
    kernel[..., 7] = 0
    graph = convolution(kernel, (12, 12, 3))
    assert Engine(graph).layers() == [("conv", PATH)]
    assert (Engine(graph).predict(normal(rng, 1, 12, 12, 3))[..., 7] == 1).all()


def black(rng):
    """An image with a stroke: windows beside it see zeros alone, and those above and below them do not."""
    image = np.zeros((1, 28, 28, 1), np.float32)
    image[0, 7:9, 9:19] = 1 + rng.random((2, 10, 1), np.float32)
    return image


@pytest.mark.parametrize("how", [{"bias": None}, {"bias": np.array([0.5] * 31 + [0], np.float32)}], ids=str)
def test_zeros_stay_zeros_where_nothing_shifts_them(how):
    """Else the sign behind them would be that of a rounding error."""
    rng = np.random.default_rng(0)
    graph = convolution(normal(rng, 5, 5, 1, 32), (28, 28, 1), **how)
    assert Engine(graph).layers() == [("conv", "float32")]
    image = black(rng)
    sees_zeros = ~windows(padded(graph, image), (5, 5)).any(axis=(3, 4, 5))
    assert sees_zeros.sum() > 500
    assert not Engine(graph).predict(image)[sees_zeros][:, -1].any()


@pytest.mark.parametrize("is_shifted", [True, False])
def test_a_batch_normalization_shifts_zeros(is_shifted):
    rng = np.random.default_rng(0)
    first = g.Conv2D("conv", ("input",), g.FloatKernel(normal(rng, 5, 5, 3, 20)))
    norm = g.ScaleShift("norm", ("conv",), normal(rng, 20), normal(rng, 20) if is_shifted else np.zeros(20, np.float32))
    graph = g.Graph((12, 12, 3), (first, norm))
    assert Engine(graph).layers() == [("conv", PATH if is_shifted else "float32")]
    same(graph, normal(rng, 2, 12, 12, 3))


@pytest.mark.parametrize("size", [2.0**99, 2.0**101, 3e38])
def test_weights_that_are_too_large_take_direct_sums(size):
    kernel = np.random.default_rng(0).uniform(-1, 1, (5, 5, 3, 16)).astype(np.float32)
    kernel[0, 0, 0, 0] = 1
    graph = convolution(kernel * np.float32(size), (12, 12, 3))
    assert Engine(graph).layers() == [("conv", PATH if size < 2.0**100 else "float32")]
    np.testing.assert_array_equal(Engine(graph).predict(np.zeros((1, 12, 12, 3), np.float32)), 1)


def whole(rng, *size):
    return rng.integers(-8, 9, size).astype(np.float32)


def pixels(rng, *shape):
    return rng.integers(0, 256, shape).astype(np.float32)


@pytest.mark.parametrize("unit", [1.0, 0.125, 2.0**-20])
@pytest.mark.parametrize("exact_filters", [1, 30])
def test_kernels_whose_sums_may_be_exact_take_direct_sums(unit, exact_filters):
    rng = np.random.default_rng(0)
    kernel = normal(rng, 5, 5, 3, 30)
    kernel[..., :exact_filters] = whole(rng, 5, 5, 3, exact_filters) * unit
    graph, images = convolution(kernel, (13, 17, 3)), pixels(rng, 2, 13, 17, 3)
    assert Engine(graph).layers() == [("conv", "float32")]
    results, wanted = Engine(graph).predict(images), direct(graph, images.astype(np.float64))
    np.testing.assert_array_equal(results[..., :exact_filters], wanted[..., :exact_filters])


@pytest.mark.parametrize("coding", ["binary", "ternary"])
def test_packed_kernels_are_exact(coding):
    rng = np.random.default_rng(0)
    node = g.Conv2D("conv", ("input",), oracle.pack(oracle.random_values(rng, (5, 5, 3, 30), coding), coding))
    graph = one(node, (13, 17, 3))
    assert Engine(graph).layers() == [("conv", "float32")]
    same(graph, pixels(rng, 2, 13, 17, 3), exact=True)


@pytest.mark.parametrize(
    ("size", "shape", "how"),
    [
        ((5, 5, 3, 15), (16, 16, 3), {}),
        ((4, 5, 3, 16), (16, 16, 3), {}),
        ((6, 5, 3, 16), (16, 16, 3), {}),
        ((5, 5, 3, 16), (16, 16, 3), {"strides": (1, 2)}),
        ((5, 5, 3, 16), (16, 16, 3), {"dilations": (2, 1)}),
        ((5, 5, 3, 32), (16, 16, 6), {"groups": 2}),
        ((5, 5, 3, 16), (3, 16, 3), {}),
        ((5, 5, 3, 16), (16, 7, 3), {}),
        ((5, 5, 1, 16), (16, 11, 1), {"padding": "valid"}),
    ],
    ids=str,
)
def test_what_is_too_small_or_other_takes_direct_sums(size, shape, how):
    rng = np.random.default_rng(0)
    graph = convolution(normal(rng, *size), shape, **how)
    assert Engine(graph).layers() == [("conv", "float32")]
    same(graph, normal(rng, 2, *shape))


def test_the_work_is_that_of_two_combined_rows_a_window():
    graph = convolution(normal(np.random.default_rng(0), 5, 5, 3, 192), (32, 32, 3))
    program = Engine(graph)._program
    assert program.work == 32 * 32 * 12 * 2 * 15
    (step,) = program.steps(Convolve)
    assert step["words"] == 75
