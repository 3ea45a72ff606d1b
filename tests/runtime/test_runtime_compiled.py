"""Compiled code: on disk, for other processors, and what it refuses."""

import itertools
import re

import numpy as np
import pytest
import runtime_oracle as oracle
from conftest import ROOT
from runtime_networks import one

from tfq.graph import nodes as g
from tfq.runtime import machine_code
from tfq.runtime.arrays import Array
from tfq.runtime.compiled import dot, tile, vector
from tfq.runtime.engine import Engine
from tfq.runtime.jit import callable_njit, instructions, intrinsic, types
from tfq.runtime.program import routines, steps

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def test_code_on_disk_is_as_old_as_any_of_its_sources():
    files = (ROOT / "tfq" / "runtime").rglob("*.py")
    compiled = {
        file for file in files if re.search(r"^ *@(outermost|njit|inlined|intrinsic|overload)", file.read_text(), re.MULTILINE)
    }
    assert {"run.py", "tile.py", "share.py"} <= {file.name for file in compiled}
    assert compiled <= set(machine_code.sources())


def test_a_new_compiled_file_changes_what_code_on_disk_is_compared_by(tmp_path):
    (tmp_path / "compiled").mkdir()
    (tmp_path / "jit.py").write_text("1\n")
    before = machine_code.digest(machine_code.sources(tmp_path))
    (tmp_path / "compiled" / "new.py").write_text("2\n")
    with_new = machine_code.digest(machine_code.sources(tmp_path))
    (tmp_path / "compiled" / "new.py").write_text("3\n")
    assert len({before, with_new, machine_code.digest(machine_code.sources(tmp_path))}) == 3


def test_a_row_that_is_no_step_is_refused():
    engine = Engine(one(g.ReLU("relu", ("input",)), (4,)))
    rows = engine._program.rows.copy()
    rows[0, 0] = len(steps.STEPS)
    with pytest.raises(ValueError, match="a step or a tile that is none of the runtime's"):
        engine._execute(Array(rows), engine._memory(), np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32))


@pytest.fixture
def convolution():
    """An engine of a convolution on bits whose input is packed before, with the row of that step; and what runs other rows."""
    kernel = oracle.pack(oracle.random_values(np.random.default_rng(0), (1, 1, 32, 32), "binary"), "binary")
    engine = Engine(one(g.Conv2D("conv", ("input",), kernel, quantizer=g.Sign()), (4, 4, 32)))
    images = np.ones((1, 512), np.float32)

    def run(rows):
        engine._execute(Array(rows), engine._memory(), images, np.zeros((1, 512), np.float32))

    run(engine._program.rows)
    return engine, run


def test_every_kind_of_sums_has_a_routine():
    kinds = {*steps.SUMS, steps.WINOGRAD, steps.WINOGRAD_BYTES, steps.WINOGRAD_FOUR, steps.WINOGRAD_SQUARE, steps.ALONG_COLUMNS}
    assert sorted(kinds) == list(range(len(routines.OF_SUMS.names)))


@pytest.mark.parametrize("kind", [-1, len(routines.OF_SUMS.names), 1 << 40])
def test_sums_of_an_unknown_kind_are_refused(kind, convolution):
    engine, run = convolution
    rows = engine._program.rows.copy()
    rows[rows[:, 0] == steps.code(steps.Convolve), steps.Convolve.dtype().names.index("kind")] = kind
    with pytest.raises(ValueError, match="a step or a tile that is none of the runtime's"):
        run(rows)


def test_a_routine_that_is_not_there_is_not_called(convolution):
    engine, run = convolution
    assert engine._program.routines == ("Pack", "SumsXor", "ResultsValues")
    table = engine._kernels._routines
    for name in engine._program.routines:
        number = routines.NAMES.index(name)
        address, table[number] = table[number], 0
        try:
            with pytest.raises(ValueError, match="a step or a tile that is none of the runtime's"):
                run(engine._program.rows)
        finally:
            table[number] = address
    run(engine._program.rows)


def test_every_choice_of_a_tile_has_a_number_of_its_own():
    choices = list(itertools.product(range(1, 65), range(1, 9)))
    assert len({tile.key(*choice) for choice in choices}) == len(choices)


@pytest.mark.parametrize("choice", [(steps.XOR, 12, 2), (steps.XOR, 8, 3), (steps.TWO_BITS, 8, 2)])
def test_a_tile_that_is_not_there_is_refused(choice):
    kind, *size = choice
    accumulate = tile.accumulator(kind)

    @callable_njit
    def sums(positions, vectors, ints, floats):
        accumulate(positions, vectors, ints, floats, ints, floats, 0, 0, 0, 1, 8, 0, 0, 1, 0, 0, 0, 0)

    with pytest.raises(ValueError, match="a tile that is none of the runtime's"):
        sums(*size, np.zeros(4096, np.int32), np.zeros(4096, np.float32))


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
    triple, features = instructions()
    if needed and not (triple.startswith("x86_64") and needed in features):
        pytest.skip(f"this processor has no {needed}")

    @intrinsic
    def add_products(typingctx, total, word, weights):
        def codegen(context, builder, signature, args):
            return way.add(builder, args[0], way.inputs(builder, args[1]), way.weights(builder, args[2]))

        return vector.ints(vector.ints, types.uint32, vector.ints), codegen

    @callable_njit
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
