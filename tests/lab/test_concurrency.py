"""One engine called from eight threads, by the code of the command."""

import json

import numpy as np
import pytest
import runtime_oracle as oracle

from lab.benchmark import concurrency
from tfq.graph import file
from tfq.graph import nodes as g
from tfq.runtime.engine import Engine

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def network():
    """Float edges, and between them a binary convolution whose bits the next one reads."""
    rng = np.random.default_rng(0)

    def floats(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def binary(name, source):
        return g.Conv2D(
            name, (source,), oracle.pack(oracle.random_values(rng, (3, 3, 32, 32), "binary"), "binary"), quantizer=g.Sign()
        )

    nodes = (
        g.Conv2D("first", ("input",), g.FloatKernel(floats(3, 3, 3, 32))),
        binary("conv1", "first"),
        g.ScaleShift("bn1", ("conv1",), floats(32), floats(32)),
        binary("conv2", "bn1"),
        g.Add("add", ("first", "conv2")),
        g.GlobalAveragePool("pool", ("add",)),
        g.Dense("head", ("pool",), g.FloatKernel(floats(32, 10))),
    )
    statistics = {name: np.full(3, 0.5, np.float32) for name in ("pixel_mean", "pixel_std")}
    return g.Graph((12, 12, 3), nodes, **statistics)


@pytest.mark.parametrize(("threads", "seconds"), [(1, 1), (2, 2)])
def test_eight_callers_get_what_a_lone_one_gets_and_memory_stays_flat(threads, seconds):
    engine = Engine(network(), threads)
    engine.warm_up()
    outcome = concurrency.hammer(engine, seconds, callers=8)
    assert outcome.violations == []
    assert outcome.calls > 100
    assert outcome.images > 10 * outcome.calls
    assert 0 < outcome.start_mib <= outcome.peak_mib
    # Working memory is handed on from call to call: one for each caller, one for each thread of the engine.
    assert len(engine._idle) <= 8 + threads - 1


class Broken(Engine):
    """An engine that does each thing wrong that may go wrong, on batches of so many images; lone images are right."""

    def __init__(self, wrong=0, error=0, leak=0):
        super().__init__(network())
        self._wrong, self._error, self._leak, self._left = wrong, error, leak, []

    def predict(self, images):
        if len(images) == self._error:
            raise RuntimeError("no")
        results = super().predict(images)
        if len(images) == self._wrong:
            results[-1, -1] = np.nextafter(results[-1, -1], np.float32(np.inf))
        if len(images) > 1 and self._leak:
            self._left.append(np.ones(self._leak, np.uint8))
        return results


def test_a_single_bit_in_one_size_of_batch_is_found():
    outcome = concurrency.hammer(Broken(wrong=33), 2, callers=8)
    assert 0 < outcome.wrong < outcome.calls
    assert outcome.violations == [f"{outcome.wrong} calls gave other results than a lone call"]


def test_a_call_that_fails_is_found():
    outcome = concurrency.hammer(Broken(error=7), 2, callers=8)
    assert outcome.violations == [f"{outcome.errors} calls failed, the first one with RuntimeError: no"]


def test_memory_that_is_left_behind_is_found():
    outcome = concurrency.hammer(Broken(leak=2**16), 2, callers=8)
    (line,) = outcome.violations
    assert line == f"memory grew by {outcome.growth_mib:.1f} MiB after the warm-up; allowed are 4"
    assert outcome.end_mib > outcome.start_mib + 4


def test_a_caller_that_hangs_is_found(monkeypatch):
    monkeypatch.setattr(concurrency, "_PATIENCE_SECONDS", 0)
    engine = Engine(network())
    engine.warm_up()
    lone = engine.predict

    def predict(images):
        if len(images) > 1:
            release.wait()
        return lone(images)

    release = concurrency.threading.Event()
    engine.predict = predict
    try:
        outcome = concurrency.hammer(engine, 0.3, callers=3)
    finally:
        release.set()
    assert outcome.hanging == 3
    assert "3 callers did not come back" in outcome.violations


def test_the_command(tmp_path, capsys):
    file.write(network(), tmp_path / "model.tfq")
    arguments = [str(tmp_path / "model.tfq"), "--seconds=0.5", "--callers=4", f"--json={tmp_path / 'rows.json'}"]
    assert concurrency.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" s: ")[0] for line in lines[::2]] == [f"4 callers, engine of {n}, 0.5" for n in ("1 thread", "2 threads")]
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["threads"] for row in rows] == [1, 2]
    for row in rows:
        assert row["model"] == "model.tfq"
        assert row["calls"] > 0
        assert row["wrong"] == row["errors"] == row["hanging"] == 0


def test_the_command_fails_where_something_does_not_hold(tmp_path, capsys, monkeypatch):
    file.write(network(), tmp_path / "model.tfq")
    monkeypatch.setattr(concurrency, "GROWTH_MIB", -1000)
    assert concurrency.main([str(tmp_path / "model.tfq"), "--seconds=0.3", "--threads=1"]) == 1
    assert "VIOLATED: memory grew by" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--threads=100000000", "must be an integer from 1 to 256; got '100000000'"),
        ("--callers=0", "must be an integer from 1 to 256; got '0'"),
        ("--seconds=nan", "must be a number above 0; got 'nan'"),
        ("--seconds=long", "must be a number above 0; got 'long'"),
    ],
)
def test_numbers_that_are_none(flag, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        concurrency.main(["model.tfq", flag])
    assert message in capsys.readouterr().err


def test_what_is_no_model_is_one_line(tmp_path, capsys):
    for path, message in ((tmp_path / "no.tfq", "No such file or directory"), (concurrency.__file__, "is not a .tfq file")):
        assert concurrency.main([str(path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
