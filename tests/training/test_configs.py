"""Every config trains both networks on real images, leaves a checkpoint, and resumes."""

import importlib.util

import numpy as np
import pytest
from running import BACKEND, ROOT, SLICE, arrays, history, trained

import train
from models.methods import METHODS
from models.networks import NETWORKS

CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.cfg"))

# One pair is tried in every run of the tests: test_train.py trains xnor and dorefa_g on resnet20, and test_int8.py tries int8.
FAST = {("ternary", "nin")}
if BACKEND == "jax":  # it compiles for half a minute
    FAST = set()


def test_every_method_has_a_config_that_train_py_takes():
    seen = set()
    for config in CONFIGS:
        train.FLAGS.unparse_flags()
        train.parse(["train.py", f"--flagfile={ROOT}/configs/{config}.cfg"])
        seen.add(train.config().method)
    assert seen == set(METHODS)


def pairs():
    for config in CONFIGS:
        for network in NETWORKS:
            marks = [] if (config, network) in FAST else [pytest.mark.slow]
            # tfmot knows tf_keras alone; the other configs run there too, in the slow tests of the training program.
            marks.append(pytest.mark.legacy_only if config == "int8" else pytest.mark.keras3_only)
            if config == "int8" and importlib.util.find_spec("tensorflow_model_optimization") is None:
                marks.append(pytest.mark.skip("needs tfmot"))
            yield pytest.param(config, network, marks=marks, id=f"{config}-{network}")


@pytest.mark.parametrize(("config", "network"), list(pairs()))
def test_trains_20_steps_and_resumes(config, network, tmp_path):
    flags = [f"--flagfile=configs/{config}.cfg", f"--model={network}", *SLICE, "--limit_train=80", "--batch_size=8"]
    flags += ["--schedule=constant", "--export=", f"--run_dir={tmp_path}", f"--backend={BACKEND}"]
    trained(*flags, "--epochs=1")
    last = tmp_path / f"last{METHODS['int8' if config == 'int8' else 'float'].checkpoint}"
    before = arrays(last)
    output = trained(*flags, "--epochs=2")  # 10 steps an epoch
    assert "Going on after epoch 0" in output
    # Ten steps of eight images do not lower the loss reliably; they do move every kernel.
    assert np.isfinite([float(row["loss"]) for row in history(tmp_path)]).tolist() == [True, True]
    after = arrays(last)
    kernels = [name for name, array in before.items() if array.ndim == 4 and "optimizer" not in name]
    assert kernels
    assert all(not np.array_equal(before[name], after[name]) for name in kernels)
