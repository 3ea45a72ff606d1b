"""What the replicas of a strategy agree on, and what each has of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


@pytest.fixture(scope="module")
def kept():
    command = [sys.executable, ROOT / "tests/distribute/replicas.py"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()[-1])
    return {name: found[name] if isinstance(found[name], dict) else np.array(found[name], "float32") for name in found}


def parts():
    images = np.random.default_rng(0).normal(size=(2, 5, 4, 4, 3)).astype("float32")
    return images * np.float32([1, 3]).reshape(2, 1, 1, 1, 1)


@pytest.mark.parametrize(("name", "shape", "axes"), [("fused", (2, 5, 4, 4, 3), (1, 2, 3)), ("plain", (2, 5, 48), (1,))])
def test_moving_statistics_are_the_mean_of_the_replicas(kept, name, shape, axes):
    x = parts().reshape(shape)
    mean, variance = 0.01 * x.mean(axes).mean(0), 0.99 + 0.01 * x.var(axes).mean(0)
    for replica in range(2):
        np.testing.assert_allclose(kept[name][0][replica], mean, rtol=0, atol=1e-7)
        np.testing.assert_allclose(kept[name][1][replica], variance, rtol=1e-6)


def test_a_learned_step_starts_at_the_mean_of_the_replicas(kept):
    starts = [2 * np.abs(part).mean() / np.sqrt(3) for part in parts()]
    first, second = kept["learned"]["step_start"]
    assert first == second
    np.testing.assert_allclose(first, np.mean(starts), rtol=1e-6)


def test_noise_differs_between_replicas_and_is_on_the_first_that_of_one_process(kept):
    first, second = kept["noise"]
    assert 0.2 < np.mean(first != second) < 0.6
    np.testing.assert_array_equal(first, kept["alone"])
