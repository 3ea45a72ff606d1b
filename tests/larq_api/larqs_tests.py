"""larq's own test files, as its wheel ships them, with the imports changed to tfq."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Helpers of the tests, which are no part of larq's public names, and run on tfq as they are.
HELPERS = {"testing_utils.py": "larqs_testing_utils.py", "conftest.py": "conftest.py"}

# Each is a line of the tests: what it becomes.
_TO_TFQ = [
    (r"from larq import testing_utils as (\w+)", r"import larqs_testing_utils as \1"),
    (r"from larq import testing_utils$", "import larqs_testing_utils as testing_utils"),
    (r"from larq\.testing_utils import", "from larqs_testing_utils import"),
    (r"import larq as lq", "import tfq.larq as lq"),
    (r"import larq$", "import tfq as larq"),
    (r"from larq(\.| )", r"from tfq.larq\1"),
    # What tfq's layers take beside larq's arguments.
    (r'^        "pad_values",$', '        "pad_values",\n        "gradient_quantizer",\n        "metrics",'),
    # Its cases stay, and fail where there is no such layer.
    (r"(lq|tf\.keras)\.layers\.(Quant)?LocallyConnected(.D)", r'getattr(\1.layers, "\2LocallyConnected\3", None)'),
]
# What Keras 3 renamed, or gives by another module than TensorFlow.
_TO_KERAS_3 = [
    (r"    from tensorflow\.keras\.optimizers import legacy as optimizers.*", "    from keras import optimizers"),
    (r"from tensorflow import keras", "import keras"),
    (r"hyperparameter=\"lr\"", 'hyperparameter="learning_rate"'),
    (r"\.lr\)", ".learning_rate)"),
    (r"layer\.output_shape", "layer.output.shape"),
    (r"layer\.compute_output_shape\(tf\.TensorShape\(input_shape\)\)\.as_list\(\)", "layer.compute_output_shape(input_shape)"),
    (r'layer_config\["batch_input_shape"\] = input_shape', 'layer_config["input_shape"] = input_shape[1:]'),
    (r'add_weight\("(\w+)",', r'add_weight(name="\1",'),
    (r'\._get_hyper\("(\w+)"\)', r".\1"),
]
# MNIST, which is not at hand, is noise of its shape; warnings are logged, as larq's are.
_FOR_BOTH = """
import logging
import warnings

import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture(autouse=True)
def _warnings_are_logged():
    logging.captureWarnings(True)
    warnings.simplefilter("always", UserWarning)
    yield
    logging.captureWarnings(False)


def _noise():
    random = np.random.default_rng(0)
    return (random.integers(0, 256, (8, 28, 28)).astype("uint8"), np.arange(8)), (None, None)


tf.keras.datasets.mnist.load_data = _noise
"""
_KERAS_2_NAMES = '''
import keras
import numpy as np
import tensorflow as tf


class _Function:
    """`keras.backend.function` of Keras 2, over a functional model."""

    def __init__(self, inputs, outputs):
        self.model = keras.Function(inputs, outputs)

    def __call__(self, values):
        values = values if isinstance(values, list) else [values]
        return [np.asarray(y) for y in self.model([keras.ops.convert_to_tensor(v, "float32") for v in values])]


for backend in (keras.backend, tf.keras.backend):
    backend.placeholder = lambda ndim: keras.KerasTensor((None,) * ndim)
    backend.function = _Function
    backend.get_value = backend.eval = lambda x: np.asarray(keras.ops.convert_to_numpy(x))
    backend.variable = keras.Variable
    backend.dtype = lambda x: x.dtype
'''


def folder() -> Path:
    """Where larq is installed."""
    return Path(next(iter(importlib.util.find_spec("larq").submodule_search_locations)))


def copy(target: Path, files: list[str], is_legacy: bool) -> None:
    """Put the test files into a folder, changed."""
    changes = _TO_TFQ + ([] if is_legacy else _TO_KERAS_3)
    for name in [*files, *HELPERS]:
        text = (folder() / name).read_text()
        for old, new in changes:
            text = re.sub(old, new, text, flags=re.MULTILINE)
        if name == "conftest.py":
            text = "\n".join([_FOR_BOTH, "" if is_legacy else _KERAS_2_NAMES, text])
        (target / HELPERS.get(name, name)).write_text(text)


def run(target: Path, selected: list[str], is_legacy: bool) -> dict[str, str]:
    """Run them in a process of its own; what became of each test, by its name."""
    report = target / "report.json"
    (target / "record.py").write_text(_RECORD)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
        "TF_USE_LEGACY_KERAS": "1" if is_legacy else "0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(target)]),
        "REPORT": str(report),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "record",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:warnings",
    ]
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(target), *selected],
        cwd=target,
        env=environment,
        capture_output=True,
        text=True,
    )
    if not report.exists():
        raise RuntimeError(f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return json.loads(report.read_text())


_RECORD = """
import json, os

results = {}
why = {}


def pytest_runtest_logreport(report):
    name = report.nodeid
    if report.failed:
        results[name] = "failed"
        why[name] = str(report.longrepr)[-1500:]
    elif report.skipped and results.get(name) != "failed":
        results[name] = "skipped"
    elif report.when == "call":
        results.setdefault(name, "passed")


def pytest_collectreport(report):
    if report.failed:
        results[report.nodeid] = "failed"
        why[report.nodeid] = str(report.longrepr)[-1500:]


def pytest_sessionfinish(session):
    with open(os.environ["REPORT"], "w") as file:
        json.dump({"results": results, "why": why}, file)
"""
