"""The self-test of a network on other processors, by emulation, and with other compilers."""

import shutil
import subprocess

import numpy as np
import pytest
import runtime_networks as networks
import runtime_oracle as oracle

from tfq import c
from tfq.c import edges, residuals
from tfq.graph import nodes as g

pytestmark = pytest.mark.slow
STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-DNET_SELFTEST")
TARGETS = {
    "aarch64": ("aarch64-linux-gnu-gcc", ()),
    "arm": ("arm-linux-gnueabihf-gcc", ("-mfpu=neon",)),
    "riscv64": ("riscv64-linux-gnu-gcc", ()),
    "s390x": ("s390x-linux-gnu-gcc", ()),
}
KINDS = {
    "binary": {},
    "levels": {"quantizer": g.Levels(2), "coding": "levels", "bits": 2},
    "bytes": {"quantizer": g.Levels(8), "coding": "levels", "bits": 8},
    "int16 residual": {},
    "int8 edges": {},
    "both": {},
    "sums in bytes": None,
}


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def pooled(rng):
    """Two pools of sums, in 8 bits and in 16."""
    nodes, name = [], "input"
    for index, pad_value in enumerate((1, 0)):
        kernel = oracle.pack(rng.choice([-1, 1], (3, 3, 20, 20)), "binary", 1, rng.uniform(0.05, 0.2, 20))
        conv = g.Conv2D(f"conv{index}", (name,), kernel, quantizer=g.Sign(), pad_value=pad_value)
        nodes += [conv, g.MaxPool(name := f"pool{index}", (conv.name,), (2, 2), (2, 2))]
    return g.Graph((9, 8, 20), tuple(nodes))


def passes(directory, compiler, flags, runner, kind):
    rng, options = np.random.default_rng(5), KINDS[kind]
    graph = pooled(rng) if options is None else networks.small_network(rng, **options)
    ways = {
        "edges": edges.INT8 if kind in ("int8 edges", "both") else edges.FLOAT,
        "residual": residuals.INT16 if kind in ("int16 residual", "both") else residuals.FLOAT,
    }
    c.write(graph, directory, "net", **ways)
    sources = [str(directory / name) for name in ("net.c", "net_example.c")]
    subprocess.run([compiler, *STRICT, *flags, *sources, "-o", str(directory / "program")], check=True, timeout=120)
    result = subprocess.run([*runner, str(directory / "program")], capture_output=True, text=True, timeout=120, check=False)
    assert "self-test: passed" in result.stdout, result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_other_processors(tmp_path, target, kind):
    compiler, flags = TARGETS[target]
    need(compiler, f"qemu-{target}")
    passes(tmp_path, compiler, ("-static", *flags), [f"qemu-{target}"], kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("gcc", ("-march=native", "-fsanitize=address,undefined")),
        ("gcc", ("-DTFQ_SCALAR", "-fsanitize=address,undefined")),
        # clang's sanitizers are a package of their own.
        ("clang", ("-march=native",)),
        ("clang", ("-mavx2",)),
        ("clang", ("-DTFQ_SCALAR",)),
    ],
)
def test_other_compilers(tmp_path, compiler, flags, kind):
    need(compiler)
    passes(tmp_path, compiler, flags, [], kind)


def test_called_from_cpp(tmp_path):
    need("gcc", "g++")
    c.write(networks.small_network(np.random.default_rng(5)), tmp_path, "net")
    program = "static uint32_t arena[NET_ARENA_BYTES / 4 + 1];\nint main() { return net_selftest(arena); }\n"
    (tmp_path / "main.cpp").write_text('#include "net.h"\n' + program)
    subprocess.run(["gcc", *STRICT, "-c", "net.c", "-o", "net.o"], cwd=tmp_path, check=True, timeout=60)
    strict = ["-std=c++17", *STRICT[2:]]
    subprocess.run(["g++", *strict, "main.cpp", "net.o", "-o", "program"], cwd=tmp_path, check=True, timeout=60)
    subprocess.run([str(tmp_path / "program")], check=True, timeout=60)
