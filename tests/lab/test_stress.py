"""The stress test: what it counts, of a program that is quicker than a training."""

import json
import signal
import sys

import pytest

from lab.stress import __main__ as stress
from lab.stress import job

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

# The undisturbed run is complete; the others fail before any training.
FAILING = """
import pathlib, sys
run = pathlib.Path(next(flag for flag in sys.argv if flag.startswith("--run_dir=")).removeprefix("--run_dir="))
if run.parent.name.endswith("-killed"):
    sys.exit(1)
run.mkdir()
(run / "summary.json").write_text("{}")
"""


@pytest.fixture
def _own_sigterm():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_own_sigterm")
def test_a_start_that_fails_before_the_signal_is_a_failure_and_ends_its_round(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "PROGRAM", (sys.executable, "-c", FAILING))
    known = tmp_path / "stress.json"
    assert stress.main(["--rounds=2", f"--folder={tmp_path / 'runs'}", f"--json={known}"]) == 1
    (found,) = json.loads(known.read_text()).values()
    assert [(each["round"], each["what"]) for each in found["failures"]] == [
        (1, "exit statuses [1] before the signal"),
        (2, "exit statuses [1] before the signal"),
    ]
    assert (found["rounds"], found["complete"], found["signals"]) == (2, 0, {})


@pytest.mark.parametrize(("statuses", "is_fine"), [([75], True), ([1], False), ([1, -9], True), ([2, -9], False)])
def test_a_fault_is_an_end_of_those_that_lost_another(statuses, is_fine):
    outcome = job.Outcome(statuses, 1.0, True, [])
    assert (not stress._wrong_ends(outcome, job.Fault(signal.SIGKILL, 0, True, 1.0))) == is_fine


@pytest.mark.parametrize(("statuses", "is_fine"), [([-15, 0], True), ([-15, 75], False), ([-15], False)])
def test_sigterm_behind_the_run_of_a_job_of_several_is_fine(statuses, is_fine):
    outcome = job.Outcome(statuses, 1.0, True, [])
    assert (not stress._wrong_ends(outcome, job.Fault(signal.SIGTERM, 0, True, 1.0))) == is_fine
