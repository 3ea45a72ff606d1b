"""Graphs as ONNX and QONNX: what onnxruntime and a small reader of QONNX make of them is what the reference does."""

import numpy as np
import onnx_graphs as graphs
import pytest
import qonnx_oracle as oracle

from tfq import onnx as tfq_onnx
from tfq.graph import nodes as g
from tfq.graph import reference
from tfq.graph.operations import Node
from tfq.onnx import run
from tfq.onnx.qonnx import DOMAIN

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

# What float32 sums may be off, against the largest value.
CLOSE = 1e-6
NAMES = list(graphs.GRAPHS)


def assert_close(results, wanted):
    assert results.shape == wanted.shape
    np.testing.assert_allclose(results, wanted, rtol=0, atol=CLOSE * np.abs(wanted).max())


@pytest.fixture(scope="module")
def wanted():
    return {name: reference.run(graph, graphs.images()) for name, graph in graphs.GRAPHS.items()}


@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_computes_what_the_reference_does(name, wanted):
    model = tfq_onnx.plain(graphs.GRAPHS[name])
    onnx.checker.check_model(model, full_check=True)
    predict = run.predictor(model)
    assert_close(predict(graphs.images()), wanted[name])
    assert_close(predict(graphs.images()[:1]), wanted[name][:1])


@pytest.mark.parametrize("name", NAMES)
def test_qonnx_computes_what_the_reference_does(name, wanted):
    """By onnxruntime with the types of QONNX written out; and `Quant` by a reader that knows nothing of tfq."""
    model = tfq_onnx.qonnx(graphs.GRAPHS[name])
    assert_close(run.qonnx_predictor(model)(graphs.images()), wanted[name])
    quantized = oracle.constants_after_quant(model)
    for node in graphs.GRAPHS[name].nodes:
        if isinstance(getattr(node, "kernel", None), g.PackedKernel):
            whole = quantized[f"{node.name}/kernel"]
            assert np.array_equal(np.sort(np.unique(whole)), oracle.levels_of(node.kernel)), node.name


@pytest.mark.parametrize("name", NAMES)
def test_qonnx_has_steps_of_one_and_no_signed_bit(name):
    model = tfq_onnx.qonnx(graphs.GRAPHS[name])
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": tfq_onnx.OPSET, DOMAIN: 1}
    for node, how, parameters in oracle.quants(model):
        assert parameters["scale"] == 1
        if node.op_type == "Quant":
            assert parameters["zeropt"] == 0
            assert how["rounding_mode"] == b"ROUND"
            assert parameters["bitwidth"] > 1 or not how["signed"]


def test_no_relu_or_kernel_of_a_quant_has_another_reader():
    """FINN drops a Relu in front of a Quant, though another node reads it, and wants a kernel of its own for each product."""
    for graph in graphs.GRAPHS.values():
        model = tfq_onnx.qonnx(graph)
        makers = {name: node for node in model.graph.node for name in node.output}
        for node, _, _ in oracle.quants(model):
            made_by = makers.get(node.input[0])
            if made_by is None or made_by.op_type == "Relu":
                readers = [other for other in model.graph.node if node.input[0] in other.input]
                assert len(readers) == 1, node.name
                assert node.op_type == "Quant" or made_by is None, node.name


def test_a_network_is_written_the_same_twice():
    for write in (tfq_onnx.plain, tfq_onnx.qonnx):
        one, two = (write(graphs.residual(g.Sign(), "binary")).SerializeToString(deterministic=True) for _ in range(2))
        assert one == two


@pytest.mark.parametrize(("coding", "bits", "kind"), [("binary", None, np.int8), ("levels", 7, np.int8), ("levels", 8, np.int16)])
def test_kernels_of_plain_onnx_take_one_byte_a_weight_or_two(coding, bits, kind):
    rng = np.random.default_rng(0)
    kernel = graphs.packed(rng, (9, 4), coding, bits)
    model = tfq_onnx.plain(g.Graph((9,), (g.Dense("dense", ("input",), kernel),)))
    (stored,) = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer if each.name == "dense/kernel"]
    assert stored.dtype == kind


def test_labels_and_statistics_of_pixels_are_in_the_metadata():
    statistics = np.array([0.5, 0.25, 0.5], np.float32)
    graph = g.Graph((2, 2, 3), (g.GlobalMaxPool("pool", ("input",)),), statistics, statistics, ("a", "b", "ä"))
    about = {entry.key: entry.value for entry in tfq_onnx.plain(graph).metadata_props}
    assert about == {"labels": '["a", "b", "\\u00e4"]', "pixel_mean": "[0.5, 0.25, 0.5]", "pixel_std": "[0.5, 0.25, 0.5]"}


def test_what_qonnx_cannot_hold_is_refused_by_name():
    rng = np.random.default_rng(0)
    signs = g.Quantize("signs", ("input",), g.Sign())
    with pytest.raises(tfq_onnx.OnnxError, match="'margin' puts zeros around signs"):
        tfq_onnx.qonnx(g.Graph(graphs.SHAPE, (signs, g.ZeroPad("margin", ("signs",), (1, 1, 1, 1)))))
    levels = g.Conv2D("conv", ("input",), graphs.packed(rng, (3, 3, 3, 2), "binary"), quantizer=g.Levels(2), pad_value=-1)
    with pytest.raises(tfq_onnx.OnnxError, match="'conv' pads levels from 0 to 1 with -1"):
        tfq_onnx.qonnx(g.Graph(graphs.SHAPE, (levels,)))


class Unknown(Node):
    def infer(self, shapes):
        return shapes[0]


def test_an_operation_without_a_form_is_refused_by_name():
    with pytest.raises(tfq_onnx.OnnxError, match=r"'mine': operation Unknown has no form in ONNX: see tfq\.onnx\.emits"):
        tfq_onnx.plain(g.Graph((3,), (Unknown("mine", ("input",)),)))


def test_a_network_whose_last_operation_does_nothing_has_a_result():
    one = g.ScaleShift("same", ("input",), np.ones(3, np.float32), np.zeros(3, np.float32))
    images = np.float32([[1, 2, 3]])
    np.testing.assert_array_equal(run.predictor(tfq_onnx.plain(g.Graph((3,), (one,))))(images), images)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3)])
def test_images_of_one_pixel_have_their_channels_last(shape):
    images = np.float32([1, -2, 3]).reshape(1, *shape)
    graph = g.Graph(shape, (g.ReLU("relu", ("input",)),))
    for results in (run.predictor(tfq_onnx.plain(graph))(images), run.qonnx_predictor(tfq_onnx.qonnx(graph))(images)):
        np.testing.assert_array_equal(results, np.maximum(images, 0))


@pytest.mark.parametrize(
    ("bits", "signed", "narrow"), [(2, 0, 0), (2, 1, 1), (3, 1, 0), (8, 0, 0), (9, 1, 1)], ids=lambda value: str(value)
)
def test_quant_clips_before_it_rounds_and_rounds_ties_to_even(bits, signed, narrow):
    x = np.arange(-2 * 2**bits, 2 * 2**bits, dtype=np.float32) / 2
    results = run.qonnx_predictor(oracle.one_quant(x, bits, signed, narrow))(x[None])
    np.testing.assert_array_equal(results[0], oracle.quant(x, bits, signed, narrow))
