"""Runs ONNX models, and QONNX ones, by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfq.onnx.qonnx import DOMAIN
from tfq.optional import require


def predictor(model: Any, exact: bool = False) -> Callable[[np.ndarray], np.ndarray]:
    """The function from a batch of images, channels last, to logits that a plain model computes.

    Args:
        model: `onnx.ModelProto`.
        exact: whether onnxruntime must leave the nodes as they are.
    """
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    if exact:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Threads that spin while they wait take the processor from whatever else runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (images,) = session.get_inputs()

    def predict(batch):
        return session.run(None, {images.name: np.ascontiguousarray(batch, np.float32)})[0]

    return predict


def qonnx_predictor(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Likewise of a QONNX model, whose own types of nodes become plain operators; channels are moved to the front and back."""
    run = predictor(_in_plain_operators(model), exact=True)

    def predict(batch):
        return np.moveaxis(run(np.moveaxis(batch, -1, 1)), 1, -1)

    return predict


def _in_plain_operators(model):
    """A copy of a model with `Quant` and `BipolarQuant` written out, for batches of any length."""
    onnx = require("onnx")
    copy = type(model)()
    copy.CopyFrom(model)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in copy.graph.initializer}
    nodes = [plain for node in model.graph.node for plain in _written_out(onnx, node, constants, copy.graph.initializer)]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    for tensor in (*copy.graph.input, *copy.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    return copy


def _written_out(onnx, node, constants, initializers):
    if node.domain != DOMAIN:
        return [node]
    lines = {"Quant": _quant, "BipolarQuant": _bipolar_quant}[node.op_type](onnx, node, constants)
    made = []
    for kind, inputs, output in lines:
        names = [each if isinstance(each, str) else f"{output}/{place}" for place, each in enumerate(inputs)]
        values = [(name, each) for name, each in zip(names, inputs, strict=True) if not isinstance(each, str)]
        initializers.extend(onnx.numpy_helper.from_array(np.asarray(each, np.float32), name) for name, each in values)
        made.append(onnx.helper.make_node(kind, names, [output]))
    return made


def _bipolar_quant(onnx, node, constants):
    """scale where x >= 0, else -scale."""
    x, step = node.input
    (y,) = node.output
    return [("GreaterOrEqual", [x, 0.0], f"{y}/positive"), ("Where", [f"{y}/positive", constants[step], -constants[step]], y)]


def _quant(onnx, node, constants):
    """round(clip(x / scale + zero, lowest, highest)): the clipping comes first, and ties go to even. Then back."""
    x, *parameters = node.input
    (y,) = node.output
    step, zero, bits = (constants[name] for name in parameters)
    how = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    lowest, highest = _limits(int(bits), how["signed"], how["narrow"])
    return [
        ("Div", [x, step], f"{y}/steps"),
        ("Add", [f"{y}/steps", zero], f"{y}/moved"),
        ("Clip", [f"{y}/moved", lowest, highest], f"{y}/clipped"),
        ("Round", [f"{y}/clipped"], f"{y}/rounded"),
        ("Sub", [f"{y}/rounded", zero], f"{y}/whole"),
        ("Mul", [f"{y}/whole", step], y),
    ]


def _limits(bits, signed, narrow):
    if signed:
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow
