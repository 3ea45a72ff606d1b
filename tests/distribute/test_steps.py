"""With each quantizer a step of several devices ends where that of one process does, where both begin from the same weights."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from every_quantizer import ALL
from running import BACKEND, ROOT, slow_on
from test_distributed_runs import finished, free_ports, place

pytestmark = [
    pytest.mark.keras3_only,
    pytest.mark.skipif(BACKEND not in ("tensorflow", "jax"), reason="there is no engine"),
]
NEAR = 1e-5
DEVICES = "--xla_force_host_platform_device_count=2"


def apart(path, first, last, steps=20, workers=1):
    """The distances of each quantizer at each step, of each worker, and the weights that an epoch leaves."""
    ports = free_ports(workers)
    processes = [
        subprocess.Popen(
            [sys.executable, ROOT / "tests/distribute/steps.py", path / str(each), *map(str, (first, last, steps))],
            env={**os.environ, **place(each, workers, ports), **({"XLA_FLAGS": DEVICES} if workers == 1 else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for each in range(workers)
    ]
    finished(processes)
    found = [json.loads((path / str(each)).read_text()) for each in range(workers)]
    if workers == 1:
        return found, []
    return found, [dict(np.load(path / f"{each}.npz")) for each in range(workers)]


def assert_near(found, steps):
    for distances in found:
        for name, each in distances.items():
            assert len(each) == steps
            # The order of a sum decides some signs and levels of a value that lies on their bound.
            assert np.sum(np.array(each) <= NEAR) >= 0.75 * steps, (name, each)


@slow_on("tensorflow")
def test_a_step_on_two_devices_is_that_of_one_process(tmp_path):
    """With a learned step, of which one place is enough here."""
    first = ALL.index(next(each for each in ALL if type(each).__name__ == "LSQInputs"))
    found, _ = apart(tmp_path, first, first + 1, steps=4)
    assert_near(found, 4)
    assert len(found[0]) == 1


@pytest.mark.slow
def test_each_step_on_two_devices_is_that_of_one_process_with_every_quantizer(tmp_path):
    found, _ = apart(tmp_path, 0, len(ALL))
    assert_near(found, 20)
    noisy = sum(each.operand == "gradient" and not each.is_off for each in ALL) if BACKEND == "tensorflow" else 0
    assert len(found[0]) == len(ALL) - noisy


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="several processes train on JAX alone")
def test_each_step_of_two_workers_is_that_of_one_process_and_both_have_the_same_bits(tmp_path):
    found, left = apart(tmp_path, 0, len(ALL), workers=2)
    assert_near(found, 20)
    assert found[0].keys() == found[1].keys()
    assert len(left[0]) == len(ALL)
    for name, weights in left[0].items():
        np.testing.assert_array_equal(weights, left[1][name], err_msg=name)
