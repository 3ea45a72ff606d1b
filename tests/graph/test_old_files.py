"""Files of earlier versions are read, and their networks compute what they computed."""

import numpy as np
import pytest
from conftest import ROOT
from safetensors import safe_open

from tfq import runtime
from tfq.graph import codec, file, kernels, reference

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

# Written by the tfq that first had version 1: small networks whose sums are exact in float32, so that every processor gives the
# same logits; beside each a few images and the logits of the runtime at the time.
VERSION_1 = ROOT / "tests" / "data" / "packed_version1"
NETWORKS = {"xnor": {("binary", 1)}, "dorefa_a2w2": {("levels", 2)}, "ternary_a1": {("ternary", 2)}}
COMMITTED = sorted((ROOT / "results" / "sweep").glob("*/networks/*.tfq"))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_of_version_1_gives_the_same_logits(name):
    pytest.importorskip("numba", reason="needs tfq[runtime]")
    path = VERSION_1 / f"{name}.tfq"
    with safe_open(path, framework="numpy") as opened:
        assert opened.metadata()["version"] == "1"
    graph = file.read(path)
    packed = [node.kernel for node in graph.nodes if isinstance(getattr(node, "kernel", None), kernels.PackedKernel)]
    assert {(kernel.coding, kernel.bits) for kernel in packed} == NETWORKS[name]
    assert graph.labels == tuple(f"class {index}" for index in range(10))
    with np.load(path.with_suffix(".npz")) as known:
        images, logits = known["images"].astype(np.float32), known["logits"]
    np.testing.assert_array_equal(runtime.load(path).predict(images), logits)
    np.testing.assert_allclose(reference.run(graph, images), logits, rtol=1e-6, atol=1e-6)


def test_the_files_with_results_are_read():
    assert len(COMMITTED) >= 13
    for path in COMMITTED:
        graph = file.read(path)
        assert (codec.version(graph), graph.output_shape) == (1, (10,)), path
