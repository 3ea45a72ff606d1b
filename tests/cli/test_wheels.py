"""The two wheels that `make wheel` builds from this tree."""

import ast
import sys
import tomllib

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import wheels

import tfq
from tfq import registration
from tfq.cli import main

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME, LIBRARY = wheels.split(PYPROJECT)


def test_each_file_of_the_package_is_in_one_wheel():
    assert not set(RUNTIME) & set(LIBRARY)
    package = {path.relative_to(ROOT) for path in ROOT.glob("tfq/**/*") if path.is_file() and "__pycache__" not in path.parts}
    assert {*RUNTIME, *LIBRARY} == package


def modules(file):
    """The modules of tfq that a file imports, those of `TYPE_CHECKING` left out."""
    nodes = list(ast.walk(ast.parse((ROOT / file).read_text())))
    left_out = {
        child
        for node in nodes
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in node.body
    }
    for node in nodes:
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_runtime_imports_nothing_of_the_library():
    owned = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in RUNTIME}
    for file in RUNTIME:
        for name in modules(file) if file.suffix == ".py" else ():
            if name.split(".")[0] == "tfq":
                assert name in owned or name.rpartition(".")[0] in owned, f"{file} imports {name}"


def test_the_runtime_installs_neither_keras_nor_what_only_commands_need():
    names = [text.split(">")[0] for text in wheels.runtime(PYPROJECT)["dependencies"]]
    assert names == ["numpy", "numba", "safetensors"]
    commands = wheels.runtime(PYPROJECT)["optional-dependencies"]["commands"]
    assert [text.split(">")[0] for text in commands] == ["pillow", "rich", "filelock"]


def test_the_library_requires_the_runtime_of_its_own_version():
    project = wheels.library(PYPROJECT)
    assert project["dependencies"][0] == f"tfq-runtime=={tfq.__version__}"
    assert project["version"] == wheels.runtime(PYPROJECT)["version"] == tfq.__version__
    assert project["optional-dependencies"]["runtime"] == [f"tfq-runtime[commands]=={tfq.__version__}"]


def test_one_wheel_has_the_console_script():
    assert wheels.runtime(PYPROJECT)["scripts"] == {"tfq": "tfq.cli.main:main"}
    assert "scripts" not in wheels.library(PYPROJECT)
    assert callable(main.main)


def test_a_file_that_the_runtime_does_not_have_is_an_error():
    changed = {"tool": {"tfq-runtime": {"files": ["tfq/none.py"]}}}
    with pytest.raises(ValueError, match=r"names tfq.none\.py, which is not there"):
        wheels.split(changed)


def test_the_runtime_alone_leaves_the_keras_of_others_alone(monkeypatch):
    imported = []
    monkeypatch.setattr("tfq.registration.importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("tfq.registration.importlib.import_module", imported.append)
    registration._register()
    assert imported == []
