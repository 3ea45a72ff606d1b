"""Instructions that are forced, and machine code on disk."""

import json
import os
import platform
import subprocess
import sys

import pytest
from runtime_networks import run_python

from tfq.runtime import isa, machine_code
from tfq.runtime.machine_code import MachineCode
from tfq.runtime.program import routines

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

HERE = isa.SETS.get("x86_64" if platform.machine() == "AMD64" else platform.machine(), {})


def test_no_set_is_forced_without_a_name():
    assert isa.forced("") is None


@pytest.mark.parametrize("machine", isa.SETS)
def test_a_set_is_what_it_is_called(machine):
    for name, one in isa.SETS[machine].items():
        assert isa.forced(name, machine, frozenset(one.features)) is one


@pytest.mark.parametrize(
    ("name", "machine", "features", "message"),
    [
        ("avx", "x86_64", {"sse2"}, r"TFQ_ISA=avx: it is none of avx512vpopcntdq, .*, neon; here it may be left out"),
        ("neon", "x86_64", set(isa.SETS["x86_64"]["avx2"].features), "cannot run it; here it may be avx2, baseline$"),
        ("avx512", "x86_64", set(isa.SETS["x86_64"]["avx2"].features), "TFQ_ISA=avx512: this processor cannot run it; here"),
        ("avx2", "aarch64", {"neon"}, "this processor cannot run it; here it may be neon$"),
        ("avx2", "riscv64", set(), "this processor cannot run it; here it may be left out$"),
    ],
)
def test_a_set_that_the_processor_cannot_run_is_refused(name, machine, features, message):
    with pytest.raises(ValueError, match=message):
        isa.forced(name, machine, frozenset(features))


def test_an_engine_says_so():
    program = """
import tfq.runtime
try:
    tfq.runtime.load("results/sweep/short/networks/resnet20_xnor_seed0.tfq")
except ValueError as error:
    print(error)
"""
    assert run_python(program, TFQ_ISA="nonsense").startswith("TFQ_ISA=nonsense: it is none of avx512vpopcntdq, ")


# What the tests of sums, thresholds and networks want of every processor, and then which instructions the code has.
EXACT = """
import test_runtime_along_columns as c
import test_runtime_depthwise as d
import test_runtime_networks as n
import test_runtime_sums as t
import test_runtime_thresholds as h
import test_runtime_winograd as w
from runtime_networks import SIGN
for seed in range(6):
    for coding in ("binary", "ternary"):
        t.test_sums_of_signs_are_exact(coding, seed)
    t.test_sums_of_bit_planes_are_exact(seed)
    t.test_sums_of_two_bits_times_two_are_exact(seed)
    t.test_sums_of_bytes_are_exact(seed)
    d.test_sums_of_quantized_inputs_are_exact(seed)
    t.test_float_inputs_are_convolved_in_float(seed)
    h.test_a_threshold_agrees_with_float32_to_the_last_bit(seed)
t.test_levels_round_ties_to_even()
n.test_a_network(SIGN, "binary", 1, 0)
n.test_a_network(n.g.Levels(2), "levels", 2, 1)
n.test_a_network(n.g.Levels(8), "levels", 8, -1)
t.test_the_largest_bytes_do_not_saturate(1.0, -255)
w.test_other_sums_are_as_near_as_direct_ones(0)
w.test_levels_of_16_bits()
c.test_sums_are_within_what_their_roundings_may_add_up_to(0)
c.test_any_number_of_rows(13, "same")
w.test_signs_behind_bytes_are_thresholds()
from tfq.runtime import kernels
from tfq.runtime.compiled.call import SUMS
from tfq.runtime.compiled.convolve import convolution
from tfq.runtime.jit import object_file
from tfq.runtime.program import steps
assert kernels.were_compiled()
functions = [convolution(kind) for kind in (steps.XOR, steps.BYTES)]
for function in functions:
    object_file(function, *SUMS)
assembly = "".join(text for function in functions for text in function.inspect_asm().values())
print(*[name for name in ("vpopcntd", "vpdpbusd", "zmm", "ymm", "pmaddwd") if name in assembly])
"""
USED = {
    "avx512vpopcntdq": "vpopcntd vpdpbusd zmm ymm",
    "avx512vnni": "vpdpbusd zmm ymm",
    "avx512": "zmm ymm pmaddwd",
    "avxvnni": "vpdpbusd ymm",
    "avx2": "ymm pmaddwd",
    "baseline": "pmaddwd",
    "neon": "",
}


@pytest.mark.parametrize("name", [name if name == "baseline" else pytest.param(name, marks=pytest.mark.slow) for name in USED])
def test_every_set_computes_the_same(name, tmp_path, monkeypatch):
    if name not in HERE or not set(HERE[name].features) <= isa.host_features():
        pytest.skip(f"this processor cannot run {name}")
    assert run_python(EXACT, TFQ_ISA=name, NUMBA_CACHE_DIR=str(tmp_path)).strip() == USED[name]
    # Its code is not taken for that of all instructions, which this process has.
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kept = [path.stem.split("-") for path in tmp_path.iterdir()]
    assert len({key for key, _ in kept}) == 1
    assert {routines.LOOP, "SumsXor", "SumsBytes", "SumsFloat", "SumsDepthwise"} <= {routine for _, routine in kept}
    assert [machine_code.read(routine) for _, routine in kept] == [None] * len(kept)


CODE = MachineCode("name", (8, 2), bytes(range(256)) * 4)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The file of a code that was kept."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "code"))
    machine_code.write(routines.LOOP, CODE)
    assert machine_code.read(routines.LOOP) == CODE
    (path,) = (tmp_path / "code").iterdir()
    return path


def test_damaged_code_is_not_loaded(kept):
    content = kept.read_bytes()
    head = content.index(b"\n")
    for place in (0, 10, head - 3, head, head + 1, len(content) - 1):
        kept.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert machine_code.read(routines.LOOP) is None
    for size in (0, 1, head, head + 1, len(content) - 1):
        kept.write_bytes(content[:size])
        assert machine_code.read(routines.LOOP) is None
    for text in ("[]", "{}", "3", '{"name": 1, "tile": 2, "digest": 3}'):
        kept.write_text(text + "\n")
        assert machine_code.read(routines.LOOP) is None
    machine_code.write(routines.LOOP, CODE)
    assert machine_code.read(routines.LOOP) == CODE


def test_code_of_another_routine_is_not_loaded(kept):
    kept.with_name(machine_code._file("Pool")).write_bytes(kept.read_bytes())
    assert machine_code.read("Pool") is None


def test_code_of_something_else_is_not_loaded(kept, monkeypatch):
    content = kept.read_bytes()
    monkeypatch.setattr(machine_code, "key", lambda: "0" * 64)
    kept.with_name(machine_code._file(routines.LOOP)).write_bytes(content)
    assert machine_code.read(routines.LOOP) is None


@pytest.mark.parametrize("variable", ["OPT", "CPU_NAME", "CPU_FEATURES"])
def test_what_numba_is_told_is_part_of_the_key(variable, monkeypatch):
    before = machine_code.key.__wrapped__()
    monkeypatch.setenv(f"NUMBA_{variable}", "0")
    assert machine_code.key.__wrapped__() != before


def test_the_forced_set_is_part_of_the_key(monkeypatch):
    keys = {machine_code.key.__wrapped__()}
    possible = [name for name, one in HERE.items() if set(one.features) <= isa.host_features()]
    for name in possible:
        monkeypatch.setenv(isa.VARIABLE, name)
        keys.add(machine_code.key.__wrapped__())
    assert len(keys) == 1 + len(possible)


def test_a_folder_that_cannot_be_written_is_left(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "code"))
    machine_code.write(routines.LOOP, CODE)
    assert machine_code.read(routines.LOOP) is None


def test_the_user_s_folder_stands_in_for_one_beside_the_source(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "runtime").write_text("")
    monkeypatch.setattr(machine_code, "_RUNTIME", tmp_path / "runtime")
    machine_code.write(routines.LOOP, CODE)
    assert machine_code.read(routines.LOOP) == CODE


def test_old_code_is_removed(kept):
    for number in range(machine_code._MOST_FILES + 3):
        path = kept.with_name(f"{number}{machine_code._ENDING}")
        path.write_text("")
        os.utime(path, (number, number))
    machine_code.write(routines.LOOP, CODE)
    assert len(list(kept.parent.iterdir())) == machine_code._MOST_FILES
    assert machine_code.read(routines.LOOP) == CODE


def test_code_that_is_read_counts_as_new(kept, monkeypatch):
    os.utime(kept, (0, 0))
    for number in range(machine_code._MOST_FILES):
        path = kept.with_name(f"{number}{machine_code._ENDING}")
        path.write_text("")
        os.utime(path, (1 + number, 1 + number))
    assert machine_code.read(routines.LOOP) == CODE
    with monkeypatch.context() as of_another_version:
        of_another_version.setattr(machine_code, "key", lambda: "0" * 64)
        machine_code.write(routines.LOOP, CODE)
    assert machine_code.read(routines.LOOP) == CODE


def test_code_is_written_once_though_another_process_removes_old_code_at_once(tmp_path, monkeypatch):
    """A link to nothing: it is listed, and has no time."""
    folders = [tmp_path / "first", tmp_path / "second"]
    folders[0].mkdir()
    (folders[0] / f"gone{machine_code._ENDING}").symlink_to("nothing")
    monkeypatch.setattr(machine_code, "_folders", lambda: folders)
    machine_code.write(routines.LOOP, CODE)
    assert machine_code.read(routines.LOOP) == CODE
    assert not folders[1].exists()


PREDICT = """
import sys
if sys.argv[1:]:
    sys.modules[sys.argv[1]] = None
import numpy as np
import tfq.runtime
from tfq.graph import nodes as g
engine = tfq.runtime.Engine(g.Graph((2,), (g.ReLU("relu", ("input",)),)), threads=2)
print(engine.predict(np.array([[1, -1]] * 5, np.float32)).tolist(), "numba" in sys.modules)
"""


def test_a_later_start_needs_no_numba():
    run_python(PREDICT)
    assert run_python(PREDICT).strip() == f"{[[1.0, 0.0]] * 5} False"


def test_only_what_is_missing_is_compiled(tmp_path):
    run_python(PREDICT, NUMBA_CACHE_DIR=str(tmp_path))
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    (lost,) = tmp_path.glob("*-Map.*")
    lost.rename(tmp_path / "elsewhere")
    assert run_python(PREDICT, NUMBA_CACHE_DIR=str(tmp_path)).strip() == f"{[[1.0, 0.0]] * 5} True"
    now = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    assert [name for name in before if now[name] != before[name]] == [lost.name]


@pytest.mark.slow
def test_two_processes_that_compile_at_once(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", PREDICT]
    first, second = (subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2))
    for process in (first, second):
        assert process.communicate()[0].startswith(json.dumps([[1.0, 0.0]] * 5))
        assert process.returncode == 0
    assert {path.stem.split("-")[1] for path in tmp_path.iterdir()} == {routines.LOOP, "Map"}
    third = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert third.stdout.strip().endswith("False")
