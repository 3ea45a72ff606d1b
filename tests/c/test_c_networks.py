"""The C of a network, compiled, against `tfq.graph.reference`."""

import platform
from dataclasses import dataclass

import numpy as np
import pytest
import runtime_networks as networks
import runtime_oracle as oracle
from random_graphs import away_from_boundaries, random_graph

from tfq import c
from tfq.c import compiled
from tfq.graph import Node, register_operation
from tfq.graph import nodes as g

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
# Scalar code with words of 32 bits, shifts and sums: what microcontrollers run.
SCALAR = (*STRICT, "-O1", "-DTFQ_SCALAR")
SMALL = (*SCALAR, "-DTFQ_WORD=32", "-DTFQ_POPCOUNT=TFQ_SWAR")
CHECKED = (*SMALL, "-fsanitize=undefined", "-fno-sanitize-recover")
FAST = (*STRICT, "-O1", "-march=native")
pytestmark = pytest.mark.usefixtures("gcc")


def compile_(graph, directory, flags=SMALL):
    written = c.write(graph, directory, "net")
    return compiled.Compiled(written.paths[0], flags)


def same(graph, images, directory, flags=SMALL):
    results = compile_(graph, directory, flags).predict(images)
    wanted = oracle.run(graph, images)
    assert results.shape == wanted.shape
    np.testing.assert_allclose(results, wanted, rtol=0, atol=networks.CLOSE * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kmap": True},
        {"pad_value": 1, "coding": "ternary", "bits": 2},
        {"quantizer": g.Levels(2), "coding": "levels", "bits": 2, "pad_value": -1},
        {"quantizer": g.Levels(8), "coding": "levels", "bits": 8},
        {"quantizer": None, "coding": "ternary", "bits": 2},
    ],
    ids=["binary", "kmap", "ternary", "levels", "bytes", "float"],
)
def test_network(tmp_path, options):
    rng = np.random.default_rng(3)
    graph = networks.small_network(rng, **options)
    same(graph, networks.normal(rng, 2, *graph.input_shape), tmp_path)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs the x87")
def test_levels_where_floats_are_computed_in_more_bits(tmp_path):
    rng = np.random.default_rng(3)
    graph = networks.small_network(rng, quantizer=g.Levels(2), coding="levels", bits=2)
    same(graph, networks.normal(rng, 2, *graph.input_shape), tmp_path, (*SMALL, "-mfpmath=387"))


def sums_of_everything(rng):
    """Convolutions side by side on one input, whose results are whole numbers, flat and one after another."""
    shape, nodes, parts = (7, 6, 40), [], []
    kinds = [*networks.METHODS, (networks.SIGN, "integer", 3), (g.Levels(2), "ternary", 2), (g.Levels(3), "levels", 8)]
    for index, (quantizer, coding, bits) in enumerate(kinds):
        if quantizer is None:
            continue
        for pad_value in (0, 1, -1):
            w = oracle.random_values(rng, (3, 2, 40, 19), coding, bits)
            n = quantizer.highest * (2**bits - 1 if coding == "levels" else 1)
            name = f"conv{index}{pad_value}"
            kernel = oracle.pack(w, coding, bits, n)
            strides = (2, 1) if pad_value else (1, 1)
            nodes.append(g.Conv2D(name, ("input",), kernel, None, strides, quantizer=quantizer, pad_value=pad_value))
            nodes.append(g.GlobalMaxPool(f"{name}/max", (name,)))
            nodes.append(g.Reshape(f"{name}/flat", (name,), (-(-7 // strides[0]) * 6 * 19,)))
            parts += [f"{name}/max", f"{name}/flat"]
    return g.Graph(shape, (*nodes, g.Concatenate("all", tuple(parts))))


@pytest.mark.parametrize("flags", [CHECKED, FAST, (*SCALAR, "-DTFQ_POPCOUNT=TFQ_TABLE")])
def test_integer_sums_are_exact(tmp_path, flags):
    rng = np.random.default_rng(0)
    graph = sums_of_everything(rng)
    images = networks.normal(rng, 2, *graph.input_shape)
    results = compile_(graph, tmp_path, flags).predict(images)
    np.testing.assert_array_equal(results, np.rint(oracle.run(graph, images)).astype(np.float32))


def test_shapes_of_all_kinds(tmp_path):
    """Sequences, transposed and grouped convolutions, margins."""
    rng = np.random.default_rng(1)

    def packed(*shape):
        return oracle.pack(oracle.random_values(rng, shape, "binary"), "binary")

    nodes = (
        g.Conv1D("causal", ("input",), packed(3, 4, 6), padding="causal", quantizer=networks.SIGN),
        g.Conv1DTranspose("up", ("causal",), packed(3, 6, 8), None, (2,), (1,), quantizer=networks.SIGN),
        g.MaxPool("max", ("up",), (2,), (2,)),
        g.Reshape("image", ("max",), (5, 2, 8)),
        g.ZeroPad("pad", ("image",), (1, 0, 2, 1)),
        g.Conv2D("groups", ("pad",), g.FloatKernel(networks.normal(rng, 3, 2, 4, 10)), networks.normal(rng, 10), groups=2),
        g.Conv2D("depth", ("groups",), packed(2, 2, 1, 20), groups=10, quantizer=g.Levels(4), pad_value=1),
        g.Conv2DTranspose("up2", ("depth",), g.FloatKernel(networks.normal(rng, 3, 3, 20, 5)), None, (2, 3)),
        g.Quantize("levels", ("up2",), g.Levels(3)),
        g.GlobalAveragePool("mean", ("levels",), True),
    )
    graph = g.Graph((10, 4), nodes)
    same(graph, networks.normal(rng, 2, 10, 4), tmp_path)


def assert_random_graph(seed, directory):
    """Compares one of those whose values lie away from all boundaries; returns whether it is such."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    images = networks.normal(rng, 2, *graph.input_shape)
    if not away_from_boundaries(graph, images):
        return False
    results, wanted = compile_(graph, directory, FAST if seed % 2 else SMALL).predict(images), oracle.run(graph, images)
    np.testing.assert_allclose(results, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max() + 1e-6, err_msg=str(seed))
    return True


def test_random_graphs(tmp_path):
    assert sum(assert_random_graph(seed, tmp_path / str(seed)) for seed in range(4)) >= 1


@pytest.mark.slow
def test_many_random_graphs(tmp_path):
    assert sum(assert_random_graph(seed, tmp_path / str(seed)) for seed in range(4, 150)) > 60


def test_pixels_and_self_test(tmp_path):
    rng = np.random.default_rng(2)
    graph = networks.small_network(rng)
    program = compile_(graph, tmp_path, (*STRICT, "-O1", "-DNET_SELFTEST"))
    images = rng.integers(0, 256, (2, *graph.input_shape), np.uint8)
    wanted = oracle.run(graph, images)
    np.testing.assert_allclose(program.predict(images), wanted, rtol=0, atol=networks.CLOSE * np.abs(wanted).max())
    arena = np.zeros(program.manifest["ram"]["arena"] // 4 + 1, np.uint32)
    assert program._library.net_selftest(arena.ctypes) == 0


def test_nothing_outside_of_the_arena_is_written(tmp_path):
    rng = np.random.default_rng(4)
    graph = networks.small_network(rng)
    program = compile_(graph, tmp_path)
    size = program.manifest["ram"]["arena"] // 4
    arena = np.full(size + 64, 0xABABABAB, np.uint32)
    image, result = networks.normal(rng, *graph.input_shape), np.zeros(10, np.float32)
    program._library.net_run(image.ctypes, result.ctypes, arena[32:].ctypes)
    assert (arena[:32] == 0xABABABAB).all()
    assert (arena[32 + size :] == 0xABABABAB).all()


@register_operation
@dataclass(frozen=True)
class _Twice(Node):
    def infer(self, shapes):
        return shapes[0]

    def compute(self, x):
        return 2 * x


def test_an_operation_of_ones_own(tmp_path):
    graph = g.Graph((3,), (_Twice("two", ("input",)), g.ReLU("relu", ("two",))))
    with pytest.raises(c.NoC, match=r"'two' \(_Twice\)"):
        c.write(graph, tmp_path)
    assert not list(tmp_path.iterdir())

    function = "static void twice(int size, const float *x, float *y) { for (int i = 0; i < size; i++) y[i] = 2 * x[i]; }"

    @c.register_c(_Twice)
    def twice(source, node):
        source.define("twice", function)
        source.call(node.name, "twice", source.size(node.name), source.tensor(node.inputs[0]), source.tensor(node.name))

    same(graph, networks.normal(np.random.default_rng(0), 2, 3), tmp_path)
