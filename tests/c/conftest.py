import shutil

import pytest


@pytest.fixture(scope="session")
def gcc():
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    return "gcc"
