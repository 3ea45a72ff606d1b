"""What tfq imports; which part of it may import which, import-linter holds in `make lint`."""

import ast
import importlib.util
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from running import slow_on

import tfq
from tfq.backend.keras import backend, is_legacy
from tfq.optional import require

FILES = sorted([*ROOT.glob("tfq/**/*.py"), *ROOT.glob("models/*.py"), ROOT / "train.py"])
OPTIONAL = {
    "PIL",
    "absl",
    "dask",
    "distributed",
    "grain",
    "jax",
    "keras_flops",
    "larq",
    "larq_compute_engine",
    "matplotlib",
    "numba",
    "onnx",
    "onnxruntime",
    "pyarrow",
    "rich",
    "safetensors",
    "sklearn",
    "tensorboard",
    "tensorflow",
    "tensorflow_model_optimization",
    "tf_keras",
    "torch",
}


def relative(file):
    return file.relative_to(ROOT).as_posix()


def imports(tree):
    """(module, whether at the top level) of every import statement."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            # `from tfq import layers` imports tfq.layers.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((name, node in tree.body) for name in names)


def packages_after(*programs):
    """Top-level modules from outside the standard library that a fresh process has loaded after each program in turn."""
    program = "\nimport sys\nprint('loaded:', *{name.split('.')[0] for name in sys.modules})\n".join([*programs, ""])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("loaded:")]
    return [set(line.split()[1:]) - set(sys.stdlib_module_names) for line in lines]


@pytest.mark.keras3_only
@pytest.mark.tensorflow_only
def test_what_is_imported_from_tfq_is_there():
    """Also within functions, and by commands whose tests take too long to be run each time."""
    for file in [*FILES, *ROOT.glob("lab/**/*.py")]:
        for name, _ in imports(ast.parse(file.read_text())):
            # For tf_keras alone; and for an environment of its own.
            if name.startswith("tfq.") and not name.startswith(("tfq.interop.tfmot", "tfq.interop.hls4ml")):
                part, _, last = name.rpartition(".")
                module = importlib.import_module(part)
                there = last == "*" or hasattr(module, last) or importlib.util.find_spec(name)
                assert there, f"{relative(file)} imports {name}"


def test_tfq_alone_loads_neither_keras_nor_any_other_package():
    bare, ours = packages_after("", "import tfq")
    assert ours - bare == {"tfq"}


@pytest.mark.keras3_only
@pytest.mark.tensorflow_only
def test_what_the_layers_stand_on_may_be_imported_first():
    """It brings Keras, at which all classes are registered, in the middle of its own import."""
    (loaded,) = packages_after("import tfq.ste, sys; assert 'tfq.layers' in sys.modules")
    assert "keras" in loaded


@pytest.mark.keras3_only
@pytest.mark.tensorflow_only
def test_dir_and_editors_see_what_tfq_has():
    import tfq

    assert (
        {"export_model", "load_packed", "layers", "summary", "training", "plot", "convert", "testing"}
        <= set(tfq.__all__)
        <= set(dir(tfq))
    )
    for name in tfq.__all__:
        assert getattr(tfq, name) is not None
    assert tfq.complexity.summarize is tfq.summary.summarize  # the former name


@slow_on("tf_keras", "jax")
def test_the_layers_load_nothing_but_keras_and_its_backend():
    keras = "import keras"
    if backend == "tensorflow":
        keras += "\nimport tensorflow"
    if is_legacy:
        keras += "\nimport tf_keras"
    # Keras itself loads scikit-learn, if that is installed, and with it much else.
    theirs, ours = packages_after(keras, "import tfq.layers, tfq.quantizers, tfq.constraints, tfq.callbacks, tfq.data")
    assert ours - theirs == {"tfq"}
    assert is_legacy or "tf_keras" not in ours


def test_optional_packages_are_never_imported_at_the_top():
    for file in FILES:
        for name, top in imports(ast.parse(file.read_text())):
            if name.split(".")[0] in OPTIONAL and top:
                # train.py is a program of absl.
                assert (relative(file), name.split(".")[0]) == ("train.py", "absl"), f"{relative(file)} imports {name}"


def test_one_file_chooses_keras():
    chooses, imports_keras, imports_tensorflow = set(), set(), set()
    for file in FILES:
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            # Reads or writes of the variables, whatever messages say about them.
            if isinstance(node, ast.Subscript | ast.Call) and "environ" in ast.dump(node) and "BACKEND" in ast.dump(node):
                chooses.add(relative(file))
            if isinstance(node, ast.Subscript | ast.Call) and "environ" in ast.dump(node) and "LEGACY_KERAS" in ast.dump(node):
                chooses.add(relative(file))
        packages = {name.split(".")[0] for name, _ in imports(tree)}
        imports_keras |= {relative(file)} if packages & {"keras", "tf_keras"} else set()
        imports_tensorflow |= {relative(file)} if "tensorflow" in packages else set()
    # The others set them for processes in which Keras is not loaded yet.
    assert chooses <= {"tfq/backend/keras.py", "tfq/backends.py", "train.py"}
    # The data sets of Keras 3 serve both; see there.
    assert imports_keras == {"tfq/backend/keras.py", "tfq/data/keras_datasets.py"}
    assert imports_tensorflow == set()  # it is asked for by `tfq.optional.require`


def test_a_missing_package_is_an_error_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(ImportError, match=r"^this needs `matplotlib`, which is not installed: pip install 'tfq\[train\]'$"):
        require("matplotlib.figure")
    assert require("json").__name__ == "json"


@pytest.mark.skipif(backend == "tensorflow", reason="TensorFlow is the backend")
def test_tf_keras_on_another_backend_is_refused():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_USE_LEGACY_KERAS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", "import tfq.layers"], env=environment, capture_output=True, text=True, check=False
    )
    assert f"runs on TensorFlow alone, but KERAS_BACKEND is {backend!r}" in result.stderr.splitlines()[-1]


def test_the_runtime_alone_says_what_the_rest_needs(monkeypatch):
    monkeypatch.delattr("tfq.layers", raising=False)
    monkeypatch.setitem(sys.modules, "tfq.layers", None)
    with pytest.raises(ImportError, match=r"^tfq.layers needs the whole of tfq, beside its runtime: pip install tfq$"):
        tfq.layers  # noqa: B018
