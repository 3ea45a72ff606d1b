"""The runtime on AArch64, under an emulator."""

import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import aarch64

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def test_every_wheel_is_locked():
    assert len(aarch64._locked()) == len(aarch64._WHEELS)


@pytest.mark.slow
def test_sums_thresholds_and_networks_on_aarch64(tmp_path):
    if aarch64.missing():
        pytest.skip(f"not installed: {', '.join(aarch64.missing())}")
    result = subprocess.run([sys.executable, ROOT / "tools/aarch64.py", tmp_path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout or "100%" in result.stdout
