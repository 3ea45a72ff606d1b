"""A run directory of an earlier version goes on. Those of `.tfq` files are in tests/graph/test_old_files.py."""

import shutil

import pytest
from running import ROOT, history, slow_on, trained

# Of version 0.1.0: an epoch of the smallest XNOR resnet20, on 64 images of tests/data/cifar10_slice.npz. One stays here for each
# release; it is written by the flags of its flags.cfg.
RUN = ROOT / "tests" / "data" / "run_of_0.1.0"


@pytest.mark.keras3_only
@slow_on("jax")
def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    shutil.copytree(RUN, tmp_path / "run")
    before = history(tmp_path / "run")
    output = trained(f"--flagfile={RUN / 'flags.cfg'}", "--epochs=2", f"--run_dir={tmp_path / 'run'}")
    assert "Going on after epoch 0" in output
    after = history(tmp_path / "run")
    assert (len(before), len(after)) == (1, 2)
    assert after[0].items() >= before[0].items()
