"""The throughput of one process and of two: both train, each on cores of its own, in turns."""

import json

import pytest
from running import BACKEND

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BACKEND != "jax", reason="several processes train on JAX alone")]


def test_both_ways_train_and_their_rates_are_written(tmp_path, capsys):
    from lab.benchmark import distribute

    if len(distribute.cores()) < 2:
        pytest.skip("there is one core")
    path = tmp_path / "rates.json"
    small = ["--method=float", "--depth=8", "--batch_size=8", "--steps=2", "--repetitions=2"]
    assert distribute.main([*small, f"--json={path}"]) == 0
    report = json.loads(path.read_text())
    assert {way: len(rates) for way, rates in report["images_per_s"].items()} == {"one": 2, "two": 2}
    assert all(rate > 0 for rates in report["images_per_s"].values() for rate in rates)
    assert f"two / one: {report['ratio']:.3f}, target 0.9" in capsys.readouterr().out


def test_a_process_has_the_cores_that_it_was_given():
    from lab.benchmark import distribute
    from tfq.speed.worker import Worker

    if len(distribute.cores()) < 2:
        pytest.skip("there is one core")
    last = distribute.cores()[-1]
    worker = Worker("lab.benchmark.distribute:Trainer", [last], {}, "float", 8, 8, 1, environment={"KERAS_BACKEND": "jax"})
    assert worker.call("cores") == [last]
    worker.close()
