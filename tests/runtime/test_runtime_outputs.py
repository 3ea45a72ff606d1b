"""Where the results of an engine go: memory that the caller gave or gets, which the last step may write itself."""

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import SIGN, normal, one, same, small_network

from tfq.graph import nodes as g
from tfq.runtime import engine as engine_module
from tfq.runtime.engine import Engine
from tfq.runtime.plain_engine import PlainEngine
from tfq.runtime.program import steps

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]
RNG = np.random.default_rng(0)


def conv(channels, filters, quantizer=SIGN, coding="binary", bits=1, size=3, **options):
    values = oracle.random_values(RNG, (size, size, channels // options.get("groups", 1), filters), coding, bits)
    return g.Conv2D("last", ("input",), oracle.pack(values, coding, bits, 0.1), quantizer=quantizer, **options)


def floats(channels, filters, **options):
    return g.Conv2D("last", ("input",), g.FloatKernel(normal(RNG, 3, 3, channels, filters)), **options)


def dense(values, outputs):
    return g.Dense("last", ("input",), g.FloatKernel(normal(RNG, values, outputs)), normal(RNG, outputs))


def residual():
    return (conv(32, 32), g.ScaleShift("bn", ("last",), normal(RNG, 32), normal(RNG, 32)), g.Add("sum", ("bn", "input")))


def flat():
    return (conv(16, 16), g.Reshape("flat", ("last",), (80,)))


def transposed():
    kernel = oracle.pack(oracle.random_values(RNG, (2, 2, 16, 16), "binary"), "binary")
    return g.Conv2DTranspose("last", ("input",), kernel, strides=(2, 2), quantizer=SIGN)


# What ends a network, the shape of the images, and whether it writes to the caller's memory itself: not what is made by several
# steps, nor what would write past the end.
ENDS = {
    "bits": (conv(64, 64), (9, 8, 64), True),
    "bits, filters that fill no vector": (conv(20, 17), (5, 6, 20), True),
    "bits, one vector, odd width": (conv(32, 16), (4, 5, 32), True),
    "bits and K": (conv(32, 24, kmap=True), (4, 6, 32), True),
    "two bits": (conv(32, 32, g.Levels(2), "levels", 2), (8, 8, 32), True),
    "bytes": (conv(32, 32, g.Levels(4), "levels", 4), (4, 8, 32), True),
    "bytes on tiles": (conv(64, 32, g.Levels(3), "levels", 3), (8, 8, 64), True),
    "float tiles": (floats(16, 33), (9, 7, 16), True),
    "float": (floats(8, 18, strides=(2, 2)), (7, 6, 8), True),
    "depthwise": (floats(1, 20, groups=20), (6, 5, 20), True),
    "groups": (conv(64, 64, groups=2), (4, 5, 64), False),
    "dense": (dense(19, 10), (19,), True),
    "dense on bits": (g.Dense("last", ("input",), oracle.pack(np.ones((40, 33)), "binary"), quantizer=SIGN), (40,), True),
    "residual": (residual(), (4, 6, 32), True),
    "reshaped": (flat(), (1, 5, 16), True),
    "pool": (g.MaxPool("last", ("input",)), (6, 4, 32), True),
    "pool of part of a vector": (g.AveragePool("last", ("input",)), (6, 4, 20), False),
    "global pool": (g.GlobalAveragePool("last", ("input",)), (6, 4, 16), True),
    "ReLU": (g.ReLU("last", ("input",)), (6, 4, 4), True),
    "ReLU of part of a vector": (g.ReLU("last", ("input",)), (3, 3, 5), False),
    "batch normalization": (g.ScaleShift("last", ("input",), normal(RNG, 16), normal(RNG, 16)), (3, 16), True),
    "one of part of a vector": (g.ScaleShift("last", ("input",), normal(RNG, 18), normal(RNG, 18)), (3, 18), False),
    "signs": (g.Quantize("last", ("input",), SIGN), (32,), True),
    "sum": ((g.ReLU("relu", ("input",)), g.Add("last", ("relu", "input"))), (5, 16), True),
    "sum of three": ((g.ReLU("relu", ("input",)), g.Add("last", ("relu", "input", "relu"))), (5, 16), False),
    "concatenation": ((g.ReLU("relu", ("input",)), g.Concatenate("last", ("relu", "input"))), (2, 2, 16), False),
    "padding": (g.ZeroPad("last", ("input",), (1, 0, 2, 1)), (2, 3, 16), False),
    "transposed": (transposed(), (3, 4, 16), False),
    "nothing": (g.Reshape("last", ("input",), (32,)), (2, 16), False),
}


def network(name):
    nodes, shape, in_place = ENDS[name]
    nodes = nodes if isinstance(nodes, tuple) else (nodes,)
    return g.Graph(shape, nodes, np.full(shape[-1], 0.5), np.full(shape[-1], 0.2)), in_place


@pytest.mark.parametrize("name", ENDS)
def test_results_are_the_same_wherever_they_go(name, monkeypatch):
    monkeypatch.setattr(engine_module, "SHARED_WORK", 0)
    graph, in_place = network(name)
    images = normal(np.random.default_rng(1), 7, *graph.input_shape)
    pixels = np.random.default_rng(2).integers(0, 256, images.shape, np.uint8)
    wanted = same(graph, images)
    alone = Engine(graph)
    assert (alone._program.target == steps.NOWHERE) == in_place
    of_pixels = alone.predict(pixels)
    for threads in (1, 2, 3):
        engine = alone if threads == 1 else Engine(graph, threads)
        for given, results in ((images, wanted), (pixels, of_pixels)):
            for batch in (1, 2, 7):
                np.testing.assert_array_equal(engine.predict(given[:batch]), results[:batch])
                np.testing.assert_array_equal(framed(engine, given[:batch]), results[:batch])


def framed(engine, images):
    """Results in the middle of an array, where they begin at no round address, and all else stays as it was."""
    shape = (len(images), *engine.graph.output_shape)
    size = int(np.prod(shape))
    whole = np.full(size + 67, -7.0, np.float32)
    out = whole[33 : 33 + size].reshape(shape)
    assert engine.predict(images, out=out) is out
    assert set(whole[:33]) == set(whole[33 + size :]) == {-7.0}
    return out


@pytest.mark.parametrize("name", ["bits", "pool of part of a vector", "dense"])
def test_each_call_has_results_of_its_own(name):
    graph, _ = network(name)
    images = normal(np.random.default_rng(1), 6, *graph.input_shape)
    for threads in (1, 2):
        engine = Engine(graph, threads)
        first = engine.predict(images[:3])
        kept = first.copy()
        second = engine.predict(images[3:])
        engine.profile(images[3:], repeats=1)
        given = engine.predict(images[3:], out=np.empty_like(first))
        assert not np.shares_memory(first, second)
        assert not np.shares_memory(second, given)
        np.testing.assert_array_equal(first, kept)
        np.testing.assert_array_equal(second, given)


def test_results_may_take_the_place_of_images():
    graph, _ = network("residual")
    images = normal(np.random.default_rng(1), 5, *graph.input_shape)
    for engine in (Engine(graph), Engine(graph, 2), PlainEngine(graph)):
        wanted, whole = engine.predict(images), np.concatenate([images, images])
        engine.predict(whole[:5], out=whole[1:6])
        np.testing.assert_array_equal(whole[1:6], wanted)


@pytest.mark.parametrize("kind", [Engine, PlainEngine])
@pytest.mark.parametrize(
    ("out", "got"),
    [
        (np.zeros((3, 10), np.float32), r"float32 \(3, 10\)"),
        (np.zeros((2, 10)), r"float64 \(2, 10\)"),
        (np.zeros((2, 20), np.float32)[:, ::2], r"float32 \(2, 10\), which is not contiguous or may not be written"),
        ([[0.0] * 10] * 2, "list"),
    ],
)
def test_memory_that_does_not_fit_is_refused(kind, out, got):
    graph = small_network(np.random.default_rng(0))
    with pytest.raises(ValueError, match=rf"^expected out to be float32 \(2, 10\), contiguous and writeable; got {got}$"):
        kind(graph).predict(np.zeros((2, 12, 11, 3), np.float32), out=out)


def test_memory_of_an_empty_batch():
    engine = Engine(one(g.ReLU("relu", ("input",)), (16,)), 2)
    out = np.empty((0, 16), np.float32)
    assert engine.predict(np.zeros((0, 16), np.float32), out=out) is out
