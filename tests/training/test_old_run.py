"""A run directory of an earlier version goes on. Those of `.tfq` files are in tests/graph/test_old_files.py."""

import shutil

import pytest
from running import BACKEND, ROOT, history, slow_on, train, trained

# Of version 0.1.0: an epoch of the smallest XNOR resnet20, on 64 images of tests/data/cifar10_slice.npz. One stays here for each
# release; it is written by the flags of its flags.cfg.
RUN = ROOT / "tests" / "data" / "run_of_0.1.0"
ENGINE = "data_parallel" if BACKEND == "jax" else "mirrored"


@pytest.mark.keras3_only
@slow_on("jax")
@pytest.mark.parametrize(
    "flags", [pytest.param((), id="alone"), pytest.param((f"--distribute={ENGINE}",), marks=pytest.mark.slow, id="engine")]
)
def test_a_run_of_an_earlier_version_goes_on(flags, tmp_path):
    """Also under an engine, of which that version had none."""
    shutil.copytree(RUN, tmp_path / "run")
    before = history(tmp_path / "run")
    output = trained(f"--flagfile={RUN / 'flags.cfg'}", "--epochs=2", f"--run_dir={tmp_path / 'run'}", *flags)
    assert "Going on after epoch 0" in output
    after = history(tmp_path / "run")
    assert (len(before), len(after)) == (1, 2)
    assert after[0].items() >= before[0].items()


@pytest.mark.keras3_only
@pytest.mark.tensorflow_only
@pytest.mark.parametrize("flag", ["--lr_batch=16", "--stream"])
def test_a_flag_that_came_since_is_at_its_default_in_an_earlier_run(flag, tmp_path):
    shutil.copytree(RUN, tmp_path / "run")
    name = flag.lstrip("-").split("=")[0]
    assert name not in (RUN / "flags.cfg").read_text()
    result = train(f"--flagfile={RUN / 'flags.cfg'}", "--epochs=2", f"--run_dir={tmp_path / 'run'}", flag)
    assert result.returncode == 2
    assert f"{flag if '=' in flag else f'{flag}=true'} differs from --{name}=" in result.stderr
    assert len(history(tmp_path / "run")) == 1
