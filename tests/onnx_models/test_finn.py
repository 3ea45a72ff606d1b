"""QONNX files before their judges, qonnx and finn-plus: `make test-fpga`, in an environment of their own."""

import numpy as np
import onnx_graphs as graphs
import pytest

from tfq import onnx as tfq_onnx
from tfq.graph import reference

pytest.importorskip("finn", reason="needs finn-plus: make test-fpga")
from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

pytestmark = pytest.mark.slow

CLOSE = 1e-6
# The executors take a tenth of a second an image.
MANY, FEW = graphs.images(100), graphs.images(8)
ON_MANY = ("chain_binary", "chain_ternary", "chain_a2w2")


def run(model, images):
    source, result = model.graph.input[0].name, model.graph.output[0].name
    first = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    return np.moveaxis(np.concatenate([execute_onnx(model, {source: image[None]})[result] for image in first]), 1, -1)


@pytest.fixture(params=graphs.GRAPHS, scope="module")
def cleaned(request):
    graph, images = graphs.GRAPHS[request.param], MANY if request.param in ON_MANY else FEW
    return cleanup_model(ModelWrapper(tfq_onnx.qonnx(graph))), images, reference.run(graph, images)


def assert_close(results, wanted):
    np.testing.assert_allclose(results, wanted, rtol=0, atol=CLOSE * np.abs(wanted).max())


def test_qonnx_computes_what_the_reference_does(cleaned):
    model, images, wanted = cleaned
    assert_close(run(model, images), wanted)


def test_finn_takes_the_network_and_computes_what_the_reference_does(cleaned):
    model, images, wanted = cleaned
    model = model.transform(ConvertQONNXtoFINN())
    left = {node.op_type for node in model.graph.node} & {"Quant", "BipolarQuant"}
    assert not left
    assert_close(run(model, images), wanted)
