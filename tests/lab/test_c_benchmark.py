"""The benchmark of the C, and the sizes of its kernels."""

import json
import shutil

import pytest
from conftest import ROOT

from lab import c_sizes
from lab.benchmark import c as c_benchmark
from tfq.c.manifest import CODE_BYTES


def rows_of(ours, runtime, theirs, flash):
    def row(engine, flags, ms, of_tfq, size):
        return dict(zip(c_benchmark.KEYS, (engine, flags, ms, of_tfq, size, 1), strict=True))

    by_flags = [row("tfq C", flags, ours, 1.0, flash) for flags in ("O2", "O3 native")]
    bakenn = [row("BakeNN int8", flags, theirs, theirs / ours, 600) for flags in ("O2", "O3 native")]
    return [*by_flags, *bakenn, row("runtime", "numba", runtime, runtime / ours, None)]


def test_goals():
    assert [met for _, met in c_benchmark.goals(rows_of(3.0, 2.0, 90.0, 100))] == [True] * 5
    assert [met for _, met in c_benchmark.goals(rows_of(3.1, 2.0, 24.0, 101))] == [False] * 5


@pytest.mark.slow
@pytest.mark.usefixtures("gcc")
def test_ours_beside_the_runtime(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert c_benchmark.main(["--turns=1", f"--json={tmp_path / 'rows.json'}"]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["engine"] for row in rows] == ["tfq C", "tfq C", "tfq C, scalar", "tfq C, scalar", "runtime"]
    assert all(tuple(row) == c_benchmark.KEYS and row["ms"] > 0 for row in rows)
    assert "C with vectors over the runtime" in capsys.readouterr().out


@pytest.mark.slow
def test_sizes_of_code_are_those_of_the_kernels():
    if shutil.which(c_sizes.COMPILER[0]) is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    measured = c_sizes.measured()
    assert measured.keys() == CODE_BYTES.keys()
    # Another version of the compiler writes somewhat more or less.
    assert abs(sum(measured.values()) - sum(CODE_BYTES.values())) < 0.1 * sum(CODE_BYTES.values())
