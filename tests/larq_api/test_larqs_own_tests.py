"""larq's own tests, which its wheel ships, pass on tfq once their imports are changed; what does not apply is listed.

One that is listed and passes fails here, so that the list stays true.
"""

import fnmatch
import importlib.util

import pytest
from larqs_tests import copy, folder, run
from running import slow_on

from tfq.backend.keras import backend, is_legacy

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("larq") is None or backend != "tensorflow",
    reason="needs larq's wheel, and TensorFlow, on which its tests are",
)

FAST = ["activations", "conftest", "constraints", "context", "math", "metrics", "utils", "version"]
SLOW = ["callbacks", "layers", "optimizers", "quantizers"]
# Read, and run in no part: nothing in them applies.
LEFT_OUT = {
    "models": "larq's tables line by line, in snapshots that its wheel lacks, and its profile objects; see tests/summary",
    "quantized_variable": "tfq has no variable of its own: layers keep plain ones, and quantize them when they are called",
}

NO_LAYERS = "locally connected layers: Keras 3 has none to quantize"
PRIVATE = "reads private attributes of larq's quantizers; test_metrics.py has the same of tfq's layers"
EVERYWHERE = {
    "layers_test.py::*test_binarization*None-*": NO_LAYERS,
    "layers_test.py::test_layer_kwargs*None-*": NO_LAYERS,
    "layers_test.py::*test_non_zero_padding_layers*": "spies on TensorFlow's `pad`; tests/layers compares what is padded",
    "layers_test.py::*test_conv1d_non_zero_padding_raises": "tfq pads causally with pad_values, which larq cannot",
    "layers_test.py::test_layer_kwargs*QuantConv2D-Conv2D*": "tfq's takes `kmap`, the scale of inputs of XNOR-Net, too",
    "quantizers_test.py::*test_invalid_usage": "calls `call`, which quantizers of tfq do not have, as they are no layers",
    "quantizers_test.py::test_metrics*": PRIVATE,
    "quantizers_test.py::test_get_kernel_quantizer_assigns_metrics": PRIVATE,
}
ON_KERAS_3 = {
    "activations_test.py::test_serialization*": "Keras 3 has a closed list of names of activations, its own hard_tanh among them",
    "constraints_test.py::test_serialization*": "Keras 3 has a closed list of names of constraints; layers know weight_clip",
    "metrics_test.py::test_metric_in_graph_mode": "Keras 3 does not run in TensorFlow 1's graph mode",
    "optimizers_test.py::*test_weights": "Keras 3's optimizers have `variables`, and more of them; test_optimizers.py counts",
    "optimizers_test.py::*test_checkpoint": "Keras 3's optimizers have no `minimize` and no slots",
}
TABLE = EVERYWHERE if is_legacy else EVERYWHERE | ON_KERAS_3


def check(names, folder):
    files = [f"{name}_test.py" for name in names]
    copy(folder, files, is_legacy)
    report = run(folder, files, is_legacy)
    results, why = report["results"], report["why"]
    listed = {name: pattern for pattern in TABLE for name in results if fnmatch.fnmatchcase(name, pattern)}
    here = {pattern for pattern in TABLE if pattern.startswith(tuple(files))}
    failed = {name: why[name] for name, result in results.items() if result == "failed" and name not in listed}
    assert not failed, "\n\n".join(f"{name}\n{text}" for name, text in failed.items())
    passed = [name for name, pattern in listed.items() if results[name] == "passed"]
    assert not passed, f"listed, and passes: {passed}"
    assert here == set(listed.values()), f"listed, and there is none: {here - set(listed.values())}"
    return sum(result == "passed" for result in results.values())


@slow_on("tensorflow")  # on tf_keras they run beside larq itself
def test_the_fast_ones(tmp_path):
    assert check(FAST, tmp_path) >= 15


@pytest.mark.slow
def test_the_slow_ones(tmp_path):
    assert check(SLOW, tmp_path) >= 110


def test_every_file_is_run_or_left_out():
    known = {*FAST, *SLOW, *LEFT_OUT}
    assert {path.stem.removesuffix("_test") for path in folder().glob("*_test.py")} == known
