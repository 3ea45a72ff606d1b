"""train.py on images that stay on disk."""

import json

import numpy as np
import pytest
from running import BACKEND, ROOT, arrays, history, train, trained

pytest.importorskip("grain", reason="needs tfq[stream]")

pytestmark = [pytest.mark.keras3_only, pytest.mark.slow]

FLAGS = ["--depth=8", "--width=1", "--limit_train=96", "--batch_size=32", "--optimizer=sgd", "--schedule=constant", "--lr=0.05"]


@pytest.fixture
def shards(tmp_path, monkeypatch):
    monkeypatch.setenv("TFQ_CACHE", str(tmp_path / "cache"))
    (tmp_path / "shards").mkdir()
    with np.load(ROOT / "tests/data/cifar10_slice.npz") as file:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            for first in range(0, len(file[key]), 100):
                np.save(tmp_path / "shards" / f"{key}-{first:04}.npy", file[key][first : first + 100])
    return tmp_path / "shards"


def test_a_resumed_run_ends_with_the_weights_of_the_uninterrupted_one(shards, tmp_path):
    own = [*FLAGS, "--dataset=shards", f"--data_dir={shards}", "--deterministic"]
    trained(*own, "--epochs=2", f"--run_dir={tmp_path / 'whole'}")
    trained(*own, "--epochs=1", f"--run_dir={tmp_path / 'parts'}")
    assert "Going on after epoch 0" in trained(*own, "--epochs=2", f"--run_dir={tmp_path / 'parts'}")
    for key, array in arrays(tmp_path / "whole" / "last.keras").items():
        np.testing.assert_array_equal(array, arrays(tmp_path / "parts" / "last.keras")[key], err_msg=key)
    assert len(history(tmp_path / "parts")) == 2
    known = json.loads((tmp_path / "parts" / "data.json").read_text())
    trained(*FLAGS, "--dataset=npz", "--data_dir=tests/data/cifar10_slice.npz", "--epochs=1", f"--run_dir={tmp_path / 'memory'}")
    assert known["digest"] == json.loads((tmp_path / "memory" / "data.json").read_text())["digest"]
    assert "Test top-1" in trained("--evaluate", f"--run_dir={tmp_path / 'parts'}")


def test_other_images_are_refused(shards, tmp_path):
    own = [*FLAGS, "--dataset=shards", f"--data_dir={shards}", f"--run_dir={tmp_path / 'run'}"]
    trained(*own, "--epochs=1")
    first = sorted(shards.glob("x_train-*.npy"))[0]
    np.save(first, 255 - np.load(first))
    result = train(*own, "--epochs=2")
    assert result.returncode != 0
    assert "the data are not those of the run" in result.stderr


@pytest.mark.skipif(BACKEND not in ("tensorflow", "jax"), reason="there is no engine")
def test_an_engine_trains_on_them_as_one_process(shards, tmp_path):
    own = [*FLAGS, "--dataset=shards", f"--data_dir={shards}", "--epochs=1", "--deterministic"]
    engine = {"tensorflow": "mirrored", "jax": "data_parallel"}[BACKEND]
    trained(*own, f"--run_dir={tmp_path / 'alone'}")
    trained(*own, f"--distribute={engine}", f"--run_dir={tmp_path / 'engine'}")
    (alone,), (found,) = (history(tmp_path / name) for name in ("alone", "engine"))
    for name in ("loss", "val_loss"):
        assert float(found[name]) == pytest.approx(float(alone[name]), rel=1e-4), name
