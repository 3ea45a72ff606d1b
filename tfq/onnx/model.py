"""A graph as a model of ONNX."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tfq.onnx import elementwise, products, transposed, windows  # noqa: F401, whose emitters are there by the import
from tfq.onnx.emitters import emit
from tfq.onnx.joins import channels_first, channels_last
from tfq.onnx.plain import Plain
from tfq.onnx.qonnx import Qonnx
from tfq.onnx.writer import Writer
from tfq.optional import require

if TYPE_CHECKING:
    from tfq.graph.nodes import Graph
    from tfq.onnx.dialect import Dialect

# Versions of the operators and of the file: of 2022, which programs of today read.
OPSET = 17
_IR = 8


def plain(graph: Graph) -> Any:
    """A graph as an ONNX model of plain operators, whose inputs and results are those of the graph, channels last.

    Args:
        graph: `tfq.graph.nodes.Graph`.

    Returns:
        `onnx.ModelProto`.

    Raises:
        OnnxError: an operation has no form in ONNX.
        ImportError: the package `onnx` is not installed.
    """
    return _model(graph, Plain(), channels_are_last=True)


def qonnx(graph: Graph) -> Any:
    """A graph as a QONNX model: `Quant` and `BipolarQuant` nodes, channels first and one image, as FINN and hls4ml want it.

    Zeros around signs are written as -1 around them, and what that adds is taken off behind the sum.

    Args:
        graph: `tfq.graph.nodes.Graph`.

    Returns:
        `onnx.ModelProto`.

    Raises:
        OnnxError: an operation has no form in QONNX.
        ImportError: the package `onnx` is not installed.
    """
    return _model(graph, Qonnx(), channels_are_last=False)


def _model(graph: Graph, dialect: Dialect, channels_are_last: bool) -> Any:
    dialect.check(graph)
    writer = Writer(graph, dialect)
    helper = require("onnx").helper
    first = "images"
    tensors = {"input": channels_first(writer, first, graph.input_shape) if channels_are_last else first}
    for node in graph.nodes:
        writer.within(node.name)
        tensors[node.name] = emit(writer, node, *(tensors[name] for name in node.inputs))
    writer.within("")
    result = tensors[graph.nodes[-1].name]
    if channels_are_last:
        result = channels_last(writer, result, graph.output_shape)
    result = _named_result(writer, result)
    ends = ((first, graph.input_shape), (result, graph.output_shape))
    tensor = [_value(helper, name, shape, dialect, channels_are_last) for name, shape in ends]
    body = helper.make_graph(writer.nodes, "tfq", tensor[:1], tensor[1:], writer.constants)
    opsets = [helper.make_opsetid(*domain) for domain in (("", OPSET), *dialect.domains)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=_IR, producer_name="tfq")
    _describe(helper, model, graph)
    return model


def _named_result(writer, result):
    """Names the last tensor "logits", which nothing reads; returns the name."""
    if not writer.nodes or writer.nodes[-1].output[0] != result:
        return writer.add("Identity", result, result="logits")
    writer.nodes[-1].output[0] = "logits"
    return "logits"


def _value(helper, name, shape, dialect, channels_are_last):
    shape = tuple(shape) if channels_are_last else (shape[-1], *shape[:-1])
    return helper.make_tensor_value_info(name, 1, [dialect.batch, *shape])  # FLOAT


def _describe(helper, model, graph):
    """Names of the classes and statistics of the pixels, as JSON lists."""
    about: dict[str, Any] = {"labels": list(graph.labels)} if graph.labels else {}
    for name in ("pixel_mean", "pixel_std"):
        if getattr(graph, name) is not None:
            about[name] = [float(value) for value in getattr(graph, name)]
    helper.set_model_props(model, {key: json.dumps(value) for key, value in about.items()})
