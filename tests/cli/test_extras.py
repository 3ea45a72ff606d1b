"""What the messages name is what brings the package."""

import re
import tomllib

import pytest
from conftest import ROOT

from tfq import optional

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Of those that are called otherwise where they are installed from.
INSTALLED_AS = {"PIL": "pillow", "absl": "absl-py", "sklearn": "scikit-learn"}


def requirements(extra):
    return {re.match(r"[\w-]+", text)[0].replace("-", "_"): text for text in PROJECT["optional-dependencies"][extra]}


@pytest.mark.parametrize("package", optional._EXTRAS)
def test_the_extra_brings_the_package(package):
    assert INSTALLED_AS.get(package, package).replace("-", "_") in requirements(optional._EXTRAS[package])


def test_the_extra_for_images_of_the_runtime_does():
    assert "pillow" in requirements("runtime")


@pytest.mark.parametrize("package", optional._EXTRAS)
def test_what_python_3_13_does_not_have_is_said(package, monkeypatch):
    monkeypatch.setattr("sys.version_info", type("Version", (tuple,), {"minor": 13})((3, 13)))
    extra = optional._EXTRAS[package]
    kept = "python_version < '3.13'" not in requirements(extra)[INSTALLED_AS.get(package, package).replace("-", "_")]
    absent = f"x needs `{package}`, which is not to be had for Python 3.13: with Python 3.12, pip install 'tfq[{extra}]'"
    installable = f"x needs `{package}`, which is not installed: pip install 'tfq[{extra}]'"
    assert optional.missing(package, "x") == (installable if kept else absent)


def test_any_other_package_goes_by_its_name():
    assert optional.missing("h5py") == "this needs `h5py`, which is not installed: pip install h5py"
