"""The command that runs hostile files: it goes on where it was stopped, and says what fails."""

import json

import numpy as np
import pytest
from conftest import ROOT

pytest.importorskip("numba", reason="needs tfq[runtime]")

from lab.hostile import __main__ as command
from lab.hostile import trial

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def run(folder, count):
    status = command.main([f"--count={count}", f"--json={folder / 'out.json'}", f"--seen={folder / 'seen.npy'}"])
    return status, json.loads((folder / "out.json").read_text())


def test_it_goes_on_and_tries_each_case_once(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert run(tmp_path, 4)[1]["cases"] == 4
    status, known = run(tmp_path, 40)
    outcomes = [trial.outcome(0, case, tmp_path / "m.tfq") for case in range(40)]
    accepted = {known for what, known in outcomes if what == trial.ACCEPTED}
    assert (status, known["cases"], known["refused"] + known["accepted"], known["failures"]) == (0, 40, 40, [])
    assert known["distinct_accepted"] == len(accepted) > 15
    assert {what for what, _ in outcomes} == {trial.REFUSED, trial.ACCEPTED}
    assert len(np.load(tmp_path / "seen.npy")) == len(accepted)


@pytest.mark.parametrize(("name", "said"), [("PROF", "more than 20 s"), ("SEGV", "the process ended with -11")])
def test_a_file_that_kills_the_process_is_a_failure(name, said, tmp_path, monkeypatch):
    """A process that says it starts case 0 and dies; the next one finds that there is no further case."""
    record = "".join(f"\\x{byte:02x}" for byte in trial.RECORD.pack(0, trial.STARTED, 0))
    (tmp_path / "dies").write_text(f"#!/bin/bash\nprintf '{record}'\nkill -{name} $$\n")
    (tmp_path / "dies").chmod(0o755)
    monkeypatch.setattr(command.sys, "executable", str(tmp_path / "dies"))
    status, known = run(tmp_path, 1)
    assert (status, known["failures"]) == (1, [{"case": 0, "what": said}])


def test_two_results_that_differ_are_a_failure(tmp_path, monkeypatch):
    from tfq.runtime import Engine

    noise = np.random.default_rng(0)
    monkeypatch.setattr(Engine, "predict", lambda self, images: noise.normal(size=(len(images), *self.graph.output_shape)))
    assert trial.UNEQUAL in {trial.outcome(0, case, tmp_path / "m.tfq")[0] for case in range(5)}
