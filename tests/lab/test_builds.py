"""Two builds of the runtime compared, by the code of the command."""

import json

import numpy as np
import pytest
from conftest import ROOT
from runtime_networks import one, small_network

from lab.benchmark import builds
from tfq.graph import file
from tfq.graph import nodes as g

pytest.importorskip("numba")

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def test_this_build_against_itself(tmp_path, capsys):
    file.write(one(g.ReLU("relu", ("input",)), (4,)), tmp_path / "relu.tfq")
    options = ["--networks", str(tmp_path / "relu.tfq"), "--starts", "1", "--turns", "3", "--calls", "2"]
    assert builds.main([str(ROOT), "--new", str(ROOT), *options, "--json", str(tmp_path / "rows.json")]) == 0
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["network"] == "relu"
    assert row["difference"] == 0
    assert 0 < row["low"] <= row["ratio"] <= row["high"]
    assert capsys.readouterr().out.splitlines()[1].startswith("relu ")


def test_what_is_no_build_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        builds.main([str(tmp_path)])
    assert end.value.code == 1
    assert "error: neither a checkout of tfq nor a revision of this one" in capsys.readouterr().err


def test_a_ratio_is_that_of_one_turn():
    # Twice as slow in each turn, on a machine that gets faster.
    turns = np.array([[4.0, 8.0], [2.0, 4.0], [1.0, 2.0]])
    row = builds.summary("network", turns, 0.0)
    assert (row.ratio, row.low, row.high, row.ratio_of_fastest) == (2, 2, 2, 2)
    assert (row.old_ms, row.new_ms) == (2000, 4000)


def test_a_network_with_more_bits(tmp_path):
    graph = small_network(np.random.default_rng(0), g.Levels(2), "levels", 2)
    file.write(graph, tmp_path / "two.tfq")
    wide = file.read(builds.widened(tmp_path / "two.tfq", 4, tmp_path / "four.tfq"))
    packed = [(old, new) for old, new in zip(graph.nodes, wide.nodes, strict=True) if getattr(old, "quantizer", None)]
    assert len(packed) == 4
    for old, new in packed:
        assert new.quantizer == g.Levels(4)
        assert new.kernel.bits == 4
        assert new.kernel.shape == old.kernel.shape
        assert np.array_equal(new.kernel.scale, old.kernel.scale)
