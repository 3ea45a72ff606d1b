"""Residual sums in fixed point of 16 bits, and sums in front of a pool in bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import runtime_networks as networks
import runtime_oracle as oracle

from tfq import c, zoo
from tfq.c import arithmetic, compiled
from tfq.c.arena import place
from tfq.c.edges import FLOAT as FLOAT_EDGES
from tfq.c.edges import INT8
from tfq.c.residuals import FLOAT, INT16
from tfq.c.source import OUTPUT
from tfq.c.write import emitted, source_files
from tfq.cli import main
from tfq.graph import file
from tfq.graph import nodes as g
from tfq.runtime.program import packing

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1")
FLAGS = {
    "scalar": (*STRICT, "-DTFQ_SCALAR", "-DTFQ_WORD=32", "-fsanitize=undefined", "-fno-sanitize-recover"),
    "vectors": (*STRICT, "-march=native"),
}
# One of them is in the fast tests.
EITHER = pytest.mark.parametrize("flags", ["scalar", pytest.param("vectors", marks=pytest.mark.slow)])
pytestmark = pytest.mark.usefixtures("gcc")


def chain(rng, scales, filters=35, affine=False):
    """Convolutions of signs, each added to the sum of those before, on pixels; and the network's pool of the last."""
    nodes = [g.Conv2D("first", ("input",), g.FloatKernel(networks.normal(rng, 3, 3, 2, filters)))]
    for index, scale in enumerate(scales):
        kernel = oracle.pack(rng.choice([-1, 1], (3, 3, filters, filters)), "binary", 1, np.broadcast_to(scale, (filters,)))
        conv = g.Conv2D(f"conv{index}", (nodes[-1].name,), kernel, networks.normal(rng, filters), quantizer=g.Sign())
        nodes += [conv, g.Add(f"add{index}", (nodes[-1].name, conv.name))]
    return g.Graph((5, 7, 2), tuple(nodes), np.array([0.4, 0.5]), np.array([0.25, 0.2]))


def run_int16(graph, directory, flags):
    written = c.write(graph, directory, "net", residual=INT16)
    return written.manifest, compiled.Compiled(written.paths[0], (*flags, "-DNET_SELFTEST"))


def fixed(values, step):
    """The oracle's int16, by float32 arithmetic."""
    scaled = values.astype(np.float32) * np.float32(1 / step)
    return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)


@EITHER
def test_the_integers_are_those_of_the_arithmetic(tmp_path, flags):
    """The network's result is value + q step: its own convolution, of scale 0, leaves q step alone."""
    rng = np.random.default_rng(0)
    graph = chain(rng, (rng.uniform(0.05, 0.2, 35).astype(np.float32), 0.11, 0.0))
    last = replace(graph.nodes[-2], bias=None)
    graph = replace(graph, nodes=(*graph.nodes[:-2], last, graph.nodes[-1]))
    manifest, program = run_int16(graph, tmp_path, FLAGS[flags])
    steps = {name: 2.0**-bits for name, bits in manifest["residual"]["fraction_bits"].items()}
    assert list(steps) == ["first", "add0", "add1"]
    images = rng.integers(0, 256, (3, 5, 7, 2), np.uint8)
    # The float convolution sums in an order of its own: what it gives is read from a network that ends there.
    value = run_int16(replace(graph, nodes=graph.nodes[:1]), tmp_path / "first", FLAGS[flags])[1].predict(images)
    q, before = fixed(value, steps["first"]), "first"
    for conv, add in (graph.nodes[1:3], graph.nodes[3:5]):
        ones = replace(conv, inputs=("input",), kernel=replace(conv.kernel, scale=np.ones(35, np.float32)), bias=None)
        sums = oracle.run(g.Graph((5, 7, 35), (ones,)), value).astype(np.float32)
        value = sums * conv.kernel.scale + conv.bias + q.astype(np.float32) * np.float32(steps[before])
        q, before = fixed(value, steps[add.name]), add.name
    np.testing.assert_array_equal(program.predict(images), q * np.float32(steps[before]))


@EITHER
def test_what_no_integer_holds_is_the_nearest_one(tmp_path, flags):
    """Pixels reach the bound, and floats go beyond it."""
    kernel, zero = (
        np.zeros((1, 1, 1, 16), np.float32),
        oracle.pack(np.ones((1, 1, 16, 16)), "binary", 1, np.zeros(16, np.float32)),
    )
    kernel[..., 0], kernel[..., 1] = 32767, -32767
    nodes = (
        g.Conv2D("first", ("input",), g.FloatKernel(kernel)),
        g.Conv2D("zero", ("first",), zero, quantizer=g.Sign()),
        g.Add("add", ("first", "zero")),
    )
    graph = g.Graph((1, 1, 1), nodes, np.zeros(1), np.ones(1))
    manifest, program = run_int16(graph, tmp_path, FLAGS[flags])
    assert manifest["residual"]["fraction_bits"] == {"first": 0}
    inputs = np.array([1, 0.5, -1, 1 + 2**-15, -1 - 2**-15, -1 - 2**-14, 3, -3, 1e30, np.nan], np.float32).reshape(-1, 1, 1, 1)
    results = program.predict(inputs).reshape(-1, 16)
    wanted = [32767, 16384, -32767, 32767, -32768, -32768, 32767, -32768, 32767, -32768]
    opposite = [-32767, -16384, 32767, -32768, 32767, 32767, -32768, 32767, -32768, -32768]
    assert results[:, 0].tolist() == wanted
    assert results[:, 1].tolist() == opposite
    # One more, and the step doubles.
    kernel[..., 0] = 32767.004
    graph = replace(graph, nodes=(replace(nodes[0], kernel=g.FloatKernel(kernel)), *nodes[1:]))
    assert emitted(graph, "net", residual=INT16).steps == {"first": 2.0}


@pytest.mark.slow
@EITHER
@pytest.mark.parametrize(
    "options",
    [{}, {"quantizer": g.Levels(2), "coding": "levels", "bits": 2}, {"quantizer": None, "coding": "ternary", "bits": 2}],
    ids=["binary", "levels", "float"],
)
def test_network(tmp_path, options, flags):
    graph = networks.small_network(np.random.default_rng(5), **options)
    manifest, program = run_int16(graph, tmp_path, FLAGS[flags])
    # "add" is read in bits and added to; what "add2" gives is pooled in float.
    kept = {"shortcut"} if options.get("quantizer", True) is None else {"shortcut", "add"}
    assert set(manifest["residual"]["fraction_bits"]) == kept
    assert program._library.net_selftest(np.zeros(manifest["ram"]["arena"] // 4 + 1, np.uint32).ctypes) == 0
    images = np.random.default_rng(0).integers(0, 256, (2, *graph.input_shape), np.uint8)
    wanted = arithmetic.run(graph, emitted(graph, "net", residual=INT16), images)
    np.testing.assert_allclose(program.predict(images), wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())
    assert np.abs(wanted - oracle.run(graph, images)).max() > 0


@EITHER
def test_together_with_int8_edges(tmp_path, flags):
    graph = networks.small_network(np.random.default_rng(5))
    written = c.write(graph, tmp_path, "net", edges=INT8, residual=INT16)
    manifest, program = written.manifest, compiled.Compiled(written.paths[0], (*FLAGS[flags], "-DNET_SELFTEST"))
    assert (manifest["edges"], manifest["residual"]["type"]) == ("int8", "int16")
    assert program._library.net_selftest(np.zeros(manifest["ram"]["arena"] // 4 + 1, np.uint32).ctypes) == 0
    images = np.random.default_rng(0).integers(0, 256, (2, *graph.input_shape), np.uint8)
    wanted, other = (arithmetic.run(graph, emitted(graph, "net", edges, INT16), images) for edges in (INT8, FLOAT_EDGES))
    np.testing.assert_allclose(program.predict(images), wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())
    # Whole numbers of the last layer hide what the residuals are rounded by.
    assert set(manifest["residual"]["fraction_bits"]) == {"shortcut", "add"}
    assert np.abs(wanted - other).max() > 1e-2 * np.abs(wanted).max()


@pytest.mark.slow
def test_the_self_test_expects_what_fixed_point_gives(tmp_path):
    """With integers of 4 fewer bits the results are others, and it says so."""
    graph = networks.small_network(np.random.default_rng(5))
    manifest, _ = run_int16(graph, tmp_path, FLAGS["scalar"])
    path, bits = tmp_path / "net.c", manifest["residual"]["fraction_bits"]["add"]
    text = path.read_text()
    step = f"{2.0**-bits:.9g}f"
    assert step in text
    path.write_text(text.replace(step, f"{2.0 ** (6 - bits):.9g}f"))
    wrong = compiled.Compiled(path, (*FLAGS["scalar"], "-DNET_SELFTEST"))
    assert wrong._library.net_selftest(np.zeros(manifest["ram"]["arena"] // 4 + 1, np.uint32).ctypes) > 0


@pytest.mark.slow
@EITHER
def test_nothing_outside_of_the_arena_is_written(tmp_path, flags):
    graph = chain(np.random.default_rng(1), (0.1, 0.1, 0.1))
    manifest, program = run_int16(graph, tmp_path, FLAGS[flags])
    size = manifest["ram"]["arena"] // 4
    seen = np.zeros(size, bool)
    for fill in (0xABABABAB, 0x54545454):
        arena, image, result = (
            np.full(size + 64, fill, np.uint32),
            np.full((5, 7, 2), 77, np.uint8),
            np.zeros(5 * 7 * 35, np.float32),
        )
        program._library.net_run_uint8(image.ctypes, result.ctypes, arena[32:].ctypes)
        assert (arena[:32] == fill).all()
        assert (arena[32 + size :] == fill).all()
        seen |= arena[32:-32] != fill
    # To its last 16 bytes: the rest is alignment, and room of windows that other processors take.
    assert np.flatnonzero(seen)[-1] >= size - 4


def test_a_tensor_that_is_0_stays_0(tmp_path):
    """Its bound is 0, and the sign of 0 is +1."""
    ones = oracle.pack(np.ones((1, 1, 16, 16)), "binary", 1, np.zeros(16, np.float32))
    last = replace(ones, scale=np.ones(16, np.float32))
    nodes = (
        g.Conv2D("first", ("input",), g.FloatKernel(np.zeros((1, 1, 1, 16), np.float32))),
        g.Conv2D("zero", ("first",), ones, quantizer=g.Sign()),
        g.Add("add", ("first", "zero")),
        g.Conv2D("last", ("add",), last, quantizer=g.Sign()),
    )
    graph = g.Graph((1, 1, 1), nodes, np.zeros(1), np.ones(1))
    manifest, program = run_int16(graph, tmp_path, FLAGS["scalar"])
    assert "first" in manifest["residual"]["fraction_bits"]
    assert program.predict(np.full((1, 1, 1, 1), 9, np.uint8)).ravel().tolist() == [16.0] * 16


def test_float_residuals_leave_no_trace():
    graph = networks.small_network(np.random.default_rng(5))
    texts, manifest = source_files(graph, "net")
    assert manifest["residual"] == {"type": "float", "fraction_bits": {}}
    assert "#define TFQ_HAS_FIXED" not in texts["net.c"]
    assert source_files(graph, "net", residual=FLOAT)[0] == texts


def test_a_tensor_without_bound_is_named(tmp_path):
    graph = replace(chain(np.random.default_rng(1), (0.1, 0.1)), pixel_mean=None, pixel_std=None)
    with pytest.raises(c.NoC, match=r"no bound for 'first', 'add0': it needs pixels"):
        c.write(graph, tmp_path, residual=INT16)
    assert not list(tmp_path.iterdir())


def test_command(tmp_path, capsys):
    file.write(chain(np.random.default_rng(1), (0.1, 0.1)), tmp_path / "net.tfq")
    arenas = []
    for residual in ("float", "int16"):
        assert main.main(["export", str(tmp_path / "net.tfq"), "--formats=c", f"--residual={residual}"]) == 0
        found = json.loads((tmp_path / "net.json").read_text())
        assert found["residual"]["type"] == residual
        arenas.append(found["ram"]["arena"])
    assert arenas[1] < arenas[0]
    with pytest.raises(SystemExit):
        main.main(["export", str(tmp_path / "net.tfq"), "--residual=int8"])
    assert "'int8' (choose from " in capsys.readouterr().err


# docs/c.md: bytes of arena with float residuals, and with int16.
ARENAS = {
    "resnet20_xnor_cifar10": (277_104, 146_032),
    "nin_xnor_cifar10": (119_424, 119_424),
    "resnet20_272k_xnor_cifar10": (82_352, 49_584),
}


@pytest.mark.parametrize("name", ARENAS)
def test_arenas_of_the_zoo(name):
    graph = file.read(zoo.path(name))
    for residual, size in zip((FLOAT, INT16), ARENAS[name], strict=True):
        source = emitted(graph, "net", residual=residual)
        assert place(source.calls, source.tensor(g.INPUT), [OUTPUT])[1] == size


def pooled(rng, quantizer, coding, channels, pad_value=0, size=1):
    kernel = oracle.pack(oracle.random_values(rng, (size, size, channels, 19), coding), coding, 1, rng.uniform(0.1, 1, 19))
    conv = g.Conv2D("conv", ("input",), kernel, networks.normal(rng, 19), quantizer=quantizer, pad_value=pad_value)
    return g.Graph((6, 5, channels), (conv, g.AveragePool("pool", ("conv",), (2, 2), (2, 2))))


@EITHER
@pytest.mark.parametrize(
    ("options", "is_byte"),
    [
        ((g.Sign(), "binary", 255), True),
        pytest.param((g.Sign(), "binary", 256), False, marks=pytest.mark.slow),
        pytest.param((g.Sign(), "binary", 28, 1, 3), True, marks=pytest.mark.slow),
        # A tap that is left out makes an even sum odd: these have no common step of 2.
        pytest.param((g.Sign(), "binary", 15, 0, 3), False, marks=pytest.mark.slow),
        pytest.param((g.Sign(), "binary", 14, 0, 3), True, marks=pytest.mark.slow),
        pytest.param((g.Sign(), "ternary", 127), True, marks=pytest.mark.slow),
        pytest.param((g.Levels(2), "binary", 42), True, marks=pytest.mark.slow),
        pytest.param((g.Levels(2), "binary", 43), False, marks=pytest.mark.slow),
    ],
)
def test_sums_in_front_of_a_pool(tmp_path, options, is_byte, flags):
    rng = np.random.default_rng(0)
    graph = pooled(rng, *options)
    images, size = networks.normal(rng, 3, *graph.input_shape), graph.nodes[0].kernel.shape[0]
    # The largest sum and the smallest one.
    largest = packing.integers(graph.nodes[0].kernel)[..., 3].reshape(size, size, -1)
    images[0, 1 : 1 + size, 1 : 1 + size], images[1, 1 : 1 + size, 1 : 1 + size] = largest, -largest
    written = c.write(graph, tmp_path, "net")
    calls = written.paths[0].read_text().split("void net_run(const float")[1].split("\n}\n")[0]
    assert ("TFQ_AT(uint8_t" in calls) == is_byte
    assert ("TFQ_AT(int16_t" in calls) != is_byte
    results, wanted = compiled.Compiled(written.paths[0], FLAGS[flags]).predict(images), oracle.run(graph, images)
    np.testing.assert_allclose(results, wanted, rtol=0, atol=networks.CLOSE * np.abs(wanted).max())
