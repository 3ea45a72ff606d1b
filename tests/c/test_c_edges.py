"""int8 edges (`tfq.c.edges.INT8`): the C against whole numbers of NumPy, and against what the edges say that they compute."""

import json

import numpy as np
import pytest
import runtime_networks as networks
import runtime_oracle as oracle

from tfq import c
from tfq.c import arithmetic, compiled, int8
from tfq.c.edges import FLOAT, INT8
from tfq.c.write import emitted
from tfq.cli import main
from tfq.graph import file, reference
from tfq.graph import nodes as g

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-DNET_SELFTEST")
CHECKED = (*STRICT, "-DTFQ_SCALAR", "-fsanitize=undefined", "-fno-sanitize-recover")
FAST = (*STRICT, "-march=native")
pytestmark = pytest.mark.usefixtures("gcc")


def compile_(graph, directory, flags=CHECKED):
    written = c.write(graph, directory, "net", edges=INT8)
    return compiled.Compiled(written.paths[0], flags)


def selftest(program):
    arena = np.zeros(program.manifest["ram"]["arena"] // 4 + 1, np.uint32)
    return program._library.net_selftest(arena.ctypes)


def quantized(values, axes):
    """Whole numbers and float32 scales, by the definition."""
    values = values.astype(np.float32)
    largest = np.abs(values).max(axis=axes, keepdims=True)
    inverse = np.float32(127) / largest
    return np.rint(values * inverse).astype(np.int64), largest / np.float32(127)


@pytest.mark.parametrize("flags", [pytest.param(CHECKED, marks=pytest.mark.slow), FAST])
@pytest.mark.parametrize(
    ("groups", "filters", "strides", "dilations"),
    [(2, 34, (2, 1), (1, 1)), pytest.param(1, 37, (1, 1), (2, 1), marks=pytest.mark.slow)],
)
def test_sums_are_those_of_whole_numbers(tmp_path, flags, groups, filters, strides, dilations):
    rng = np.random.default_rng(0)
    kernel, bias = networks.normal(rng, 3, 2, 6 // groups, filters), networks.normal(rng, filters)
    node = g.Conv2D("conv", ("input",), g.FloatKernel(kernel), bias, strides, dilations, groups=groups)
    images = networks.normal(rng, 3, 7, 9, 6) * np.array([1, 1e-3, 1e6], np.float32).reshape(3, 1, 1, 1)
    x, x_scale = quantized(images, (1, 2, 3))
    # Weights are divided by their scale.
    w_scale = np.abs(kernel).max(axis=(0, 1, 2)) / np.float32(127)
    w = np.rint(kernel / w_scale).astype(np.int64)
    sums = reference.correlate(reference.padded(x, (3, 2), strides, dilations, "same", 0), w, strides, dilations, groups)
    wanted = sums.astype(np.float32) * x_scale * w_scale + bias
    np.testing.assert_array_equal(compile_(networks.one(node, (7, 9, 6)), tmp_path, flags).predict(images), wanted)


def scaled():
    """127 x for each of 4 inputs by itself, so that results are the inputs in whole numbers, times 127."""
    return g.Dense("dense", ("input",), g.FloatKernel(127 * np.eye(4, dtype=np.float32)))


BOUNDARIES = (
    ([127, 0.5, 1.5, 2.5], [127, 0, 2, 2]),
    ([-127, -0.5, 125.5, 126.5], [-127, 0, 126, 126]),
    ([0, 0, -0.0, 0], [0, 0, 0, 0]),
    ([1e-38, 0, -1e-38, 0], [0, 0, 0, 0]),
    ([126.49999, 127, 3e-7, -126.5], [126, 127, 0, -126]),
)


def test_ties_go_to_even_and_small_images_to_zero(tmp_path):
    images, whole = (np.array(values, np.float32) for values in zip(*BOUNDARIES, strict=True))
    program, scales = (
        compile_(networks.one(scaled(), (4,)), tmp_path),
        np.abs(images).max(axis=1, keepdims=True) / np.float32(127),
    )
    np.testing.assert_array_equal(program.predict(images), np.float32(127) * whole * scales)
    # Any float is a byte: the program is one that stops where a conversion is undefined.
    program.predict(np.array([[np.nan, 1, -1, 0.5], [np.inf, 1, -1, 0], [-3e38, 3e38, 1, 0]], np.float32))


def test_more_than_32_bits_hold_is_refused(tmp_path):
    more = g.Dense("too_wide", ("input",), g.FloatKernel(np.ones((int8.MOST_WEIGHTS + 1, 1), np.float32)))
    with pytest.raises(c.NoC, match=rf"'too_wide' has no int8 edge: it has {int8.MOST_WEIGHTS + 1:,} weights"):
        c.write(networks.one(more, (int8.MOST_WEIGHTS + 1,)), tmp_path / "no", edges=INT8)
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_the_largest_sum_that_32_bits_hold(tmp_path):
    count = int8.MOST_WEIGHTS
    assert count * 127**2 < 2**31 <= (count + 1) * 127**2
    weights = np.tile(np.array([[1, -1]], np.float32), (count, 1))
    program = compile_(networks.one(g.Dense("dense", ("input",), g.FloatKernel(weights)), (count,)), tmp_path)
    one = np.float32(1) / np.float32(127)
    wanted = np.float32(count * 127**2) * one * one * np.array([[1, -1]], np.float32)
    np.testing.assert_array_equal(program.predict(np.ones((1, count), np.float32)), wanted)


def test_pixels_are_bytes_at_once(tmp_path):
    """All 256 of each channel; the padded 0 is 0, whatever the mean."""
    mean, deviation = np.array([0.4, 0.5, 0.7]), np.array([0.2, 0.3, 0.25])
    kernel = g.FloatKernel(np.float32(127) * np.ones((1, 3, 3, 1), np.float32))
    graph = g.Graph((16, 16, 3), (g.Conv2D("conv", ("input",), kernel),), mean, deviation)
    pixels = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=3)
    real = (pixels / 255 - mean) / deviation
    scale = np.float32(np.abs([0.4 / 0.2, 0.5 / 0.3, 0.7 / 0.25, 0.6 / 0.2, 0.5 / 0.3, 0.3 / 0.25]).max() / 127)
    # No pixel of these is near a tie.
    assert np.abs(np.abs(real / scale % 1) - 0.5).min() > 1e-4
    x = np.pad(np.rint(real / scale).sum(axis=3), [(0, 0), (0, 0), (1, 1)])
    wanted = (127 * (x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:])).astype(np.float32)[..., None] * scale
    program = compile_(graph, tmp_path)
    np.testing.assert_array_equal(program.predict(pixels), wanted)
    # No float image lies in the arena: bytes, their scale, four windows.
    assert program.manifest["ram"]["arena"] == 768 + 16 + 48
    assert "pixels" not in program.manifest["kernels"]


@pytest.mark.parametrize("flags", [CHECKED, pytest.param(FAST, marks=pytest.mark.slow)])
def test_network_and_its_self_test(tmp_path, flags):
    rng = np.random.default_rng(3)
    graph = networks.small_network(rng)
    program, source = compile_(graph, tmp_path, flags), emitted(graph, "net", INT8)
    for images in (networks.normal(rng, 4, *graph.input_shape), rng.integers(0, 256, (4, *graph.input_shape), np.uint8)):
        wanted = arithmetic.run(graph, source, images)
        atol = networks.CLOSE * np.abs(wanted).max()
        np.testing.assert_allclose(program.predict(images), wanted, rtol=0, atol=atol)
        # It tells the two ways apart.
        assert np.abs(oracle.run(graph, images) - wanted).max() > 100 * atol
    assert selftest(program) == 0
    assert program.manifest["edges"] == "int8"
    assert program.manifest["int8_products"] == ["first", "head"]


@pytest.mark.slow
def test_the_self_test_knows_floats_from_bytes(tmp_path):
    graph = networks.small_network(np.random.default_rng(3))
    written = c.write(graph, tmp_path / "int8", "net", edges=INT8)
    text = written.paths[0].read_text()
    wrong = text.replace("sums[p * TFQ_LANES + l] = sum;", "sums[p * TFQ_LANES + l] = sum + count;")
    assert wrong != text
    written.paths[0].write_text(wrong)
    assert selftest(compiled.Compiled(written.paths[0], CHECKED)) > 0


@pytest.mark.slow
def test_an_image_that_others_read_too_is_decoded(tmp_path):
    rng = np.random.default_rng(5)
    graph = g.Graph(
        (5, 6, 3),
        (
            g.Conv2D("conv", ("input",), g.FloatKernel(networks.normal(rng, 3, 3, 3, 3))),
            g.Add("add", ("conv", "input")),
            g.Reshape("flat", ("add",), (90,)),
            g.Dense("head", ("flat",), g.FloatKernel(networks.normal(rng, 90, 4))),
        ),
        np.array([0.4, 0.5, 0.6]),
        np.array([0.2, 0.3, 0.25]),
    )
    images = rng.integers(0, 256, (3, 5, 6, 3), np.uint8)
    program = compile_(graph, tmp_path)
    wanted = arithmetic.run(graph, emitted(graph, "net", INT8), images)
    np.testing.assert_allclose(program.predict(images), wanted, rtol=0, atol=networks.CLOSE * np.abs(wanted).max())
    assert {"pixels", "int8"} <= set(program.manifest["kernels"])
    assert "pixels_int8" not in program.manifest["kernels"]


@pytest.mark.slow
def test_two_products_of_one_image(tmp_path):
    """Behind a reshape too; both quantize pixels before all other calls."""
    rng = np.random.default_rng(6)
    graph = g.Graph(
        (4, 4, 3),
        (
            g.Conv2D("conv", ("input",), g.FloatKernel(networks.normal(rng, 3, 3, 3, 5)), None, (2, 2)),
            g.Reshape("flat", ("input",), (48,)),
            g.Dense("side", ("flat",), g.FloatKernel(networks.normal(rng, 48, 20)), networks.normal(rng, 20)),
            g.Reshape("row", ("conv",), (20,)),
            g.Add("both", ("row", "side")),
        ),
        np.array([0.4, 0.5, 0.6]),
        np.array([0.2, 0.3, 0.25]),
    )
    program, source = compile_(graph, tmp_path), emitted(graph, "net", INT8)
    for images in (networks.normal(rng, 3, 4, 4, 3), rng.integers(0, 256, (3, 4, 4, 3), np.uint8)):
        wanted = arithmetic.run(graph, source, images)
        np.testing.assert_allclose(program.predict(images), wanted, rtol=0, atol=networks.CLOSE * np.abs(wanted).max())
    assert selftest(program) == 0


@pytest.mark.slow
def test_what_stays_in_float_is_listed(tmp_path):
    rng = np.random.default_rng(1)

    def kernel(*shape):
        return g.FloatKernel(networks.normal(rng, *shape))

    ternary = oracle.pack(oracle.random_values(rng, (1, 1, 8, 8), "ternary"), "ternary", 2)
    nodes = (
        g.Conv2D("int8", ("input",), kernel(3, 3, 4, 8)),
        g.Conv2D("depthwise", ("int8",), kernel(3, 3, 1, 8), groups=8),
        g.Conv2DTranspose("transposed", ("depthwise",), kernel(3, 3, 8, 8), None, (2, 2)),
        g.Conv2D("padded", ("transposed",), kernel(3, 3, 8, 8), pad_value=1),
        g.Conv2D("ternary", ("padded",), ternary),
        g.Conv2D("levels", ("ternary",), kernel(1, 1, 8, 8), quantizer=g.Levels(2)),
        g.Quantize("quantize", ("levels",), g.Levels(3)),
        g.Conv2D("behind", ("quantize",), kernel(1, 1, 8, 8)),
        g.GlobalAveragePool("mean", ("behind",)),
        g.Dense("head", ("mean",), kernel(8, 3)),
    )
    graph = g.Graph((6, 6, 4), nodes)
    program = compile_(graph, tmp_path)
    in_float = ["depthwise", "transposed", "padded", "ternary", "levels", "behind"]
    assert program.manifest["float_products"] == in_float
    assert program.manifest["int8_products"] == ["int8", "head"]
    images = networks.normal(rng, 3, 6, 6, 4)
    wanted = arithmetic.run(graph, emitted(graph, "net", INT8), images)
    np.testing.assert_allclose(program.predict(images), wanted, rtol=0, atol=networks.CLOSE * max(1, np.abs(wanted).max()))


def test_weights_take_a_byte(tmp_path):
    graph = networks.small_network(np.random.default_rng(0))
    floats, bytes_ = (c.write(graph, tmp_path / edges.name, "net", edges=edges).manifest for edges in (FLOAT, INT8))
    weights = 3 * 3 * 3 * 20 + 80 * 10
    assert 3 * weights - 200 < floats["flash"]["constants"] - bytes_["flash"]["constants"] < 3 * weights + 200
    assert bytes_["macs"] == {"1x1 bits": floats["macs"]["1x1 bits"], "int8": floats["macs"]["float"]}
    assert floats["edges"] == "float"
    assert (floats["float_products"], floats["int8_products"]) == (["first", "head"], [])


def test_command(tmp_path, capsys):
    file.write(networks.small_network(np.random.default_rng(0)), tmp_path / "net.tfq")
    assert main.main(["export", str(tmp_path / "net.tfq"), "--formats=c", "--edges=int8"]) == 0
    assert "products of floats: first, head in int8\n" in capsys.readouterr().out
    assert json.loads((tmp_path / "net.json").read_text())["edges"] == "int8"
    with pytest.raises(SystemExit):
        main.main(["export", str(tmp_path / "net.tfq"), "--formats=c", "--edges=int4"])
    assert "'int4' (choose from " in capsys.readouterr().err
