"""Files of earlier versions are read, and their networks compute what they computed."""

import numpy as np
import pytest
from conftest import ROOT
from safetensors import safe_open

from tfq import runtime
from tfq.graph import codec, file, kernels, reference

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

# Each written by a tfq of its version: small networks whose sums are exact in float32, so that every processor gives the same
# logits; beside each a few images and the logits of the runtime at the time.
DATA = ROOT / "tests" / "data"
NETWORKS = {
    (1, "xnor"): {("binary", 1)},
    (1, "dorefa_a2w2"): {("levels", 2)},
    (1, "ternary_a1"): {("ternary", 2)},
    (2, "lsq"): {("integer", 3), ("integer", 4)},
    (3, "sequence"): {("binary", 1), ("ternary", 2), ("integer", 3)},
}
COMMITTED = sorted((ROOT / "results" / "sweep").glob("*/networks/*.tfq"))


@pytest.mark.parametrize(("version", "name"), NETWORKS)
def test_a_file_of_an_earlier_version_gives_the_same_logits(version, name):
    pytest.importorskip("numba", reason="needs tfq[runtime]")
    path = DATA / f"packed_version{version}" / f"{name}.tfq"
    with safe_open(path, framework="numpy") as opened:
        assert opened.metadata()["version"] == str(version)
    graph = file.read(path)
    packed = [node.kernel for node in graph.nodes if isinstance(getattr(node, "kernel", None), kernels.PackedKernel)]
    assert {(kernel.coding, kernel.bits) for kernel in packed} == NETWORKS[version, name]
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
