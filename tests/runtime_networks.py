"""Networks and comparisons that the tests of the runtime share."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import runtime_oracle as oracle

from tfq import runtime
from tfq.graph import nodes as g

ROOT = Path(__file__).resolve().parent.parent
SIGN = g.Sign()


# What float32 sums of random order may be off, against the largest value.
CLOSE = 5e-6


def same(graph, images, exact=False):
    """The engine's results, after comparing them with the oracle's."""
    results, wanted = runtime.Engine(graph).predict(images), oracle.run(graph, images)
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


def assert_whole(graph, images):
    """The engine's results are the float32 next to the oracle's, which are whole numbers but for the last bits of n (1 / n)."""
    results, wanted = runtime.Engine(graph).predict(images), oracle.run(graph, images)
    np.testing.assert_array_equal(results, np.rint(wanted).astype(np.float32))


METHODS = [
    (SIGN, "binary", 1),
    (SIGN, "ternary", 2),
    (None, "ternary", 2),
    (g.Levels(2), "levels", 2),
    (g.Levels(4), "levels", 4),
    (g.Levels(8), "levels", 8),
]


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


def run_python(program, **environment):
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "runtime")))
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout


def borders(height, width):
    """A binary convolution as large as its image: each window lies another way over the borders."""
    kernel = oracle.pack(oracle.random_values(np.random.default_rng(0), (height, width, 1, 1), "binary"), "binary")
    return g.Graph((height, width, 1), (g.Conv2D("conv", ("input",), kernel, quantizer=g.Sign(), pad_value=1),))
