#!/usr/bin/env bash
# finn-plus drops a ReLU in front of a Quant, though a shortcut reads it: the shortcut then reads a tensor that nothing makes.
#
# `ConvertQONNXtoFINN` replaces Relu and Quant by one MultiThreshold, whose thresholds include the ReLU. It does not look whether the
# ReLU has other readers than the Quant. Theirs is left without a maker, and counts as zeros: the graph runs, and gives what it would
# without the shortcut. No error, no warning. BipolarQuant is treated the same.
#
# Versions: finn-plus 1.6.1, qonnx 1.0.0. Source: `QuantReluHandler` in finn/transformation/qonnx/qonnx_activation_handlers.py.
# For low-bit networks: residual blocks quantize the ReLU's output for the convolution and add the same output behind it. tfq writes
# a node between the ReLU and its quantizer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
here=$(cd "$(dirname "$0")/.." && pwd)
"${PYTHON:-python3.11}" -m venv "$folder/venv"
# Without torch, which finn-plus wants and this does not use.
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/locks/finn.txt"
cd "$folder"
cat > finding.py <<'PYTHON'
import numpy as np
from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

QONNX = "qonnx.custom_op.general"
x = np.array([[-2.0, 0.75, 2.25, 9.0]], np.float32)
values = {"one": 1.0, "zero": 0.0, "bits": 2.0, "kernel": np.eye(4), "half": np.full(4, 0.5)}
nodes = [
    helper.make_node("Relu", ["x"], ["r"]),
    helper.make_node("Quant", ["r", "one", "zero", "bits"], ["q"], domain=QONNX, signed=0, narrow=0, rounding_mode="ROUND"),
    helper.make_node("MatMul", ["q", "kernel"], ["product"]),
    helper.make_node("Mul", ["r", "half"], ["shortcut"]),
    helper.make_node("Add", ["product", "shortcut"], ["y"]),
]
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in values.items()]
graph = helper.make_graph(nodes, "block", ends[:1], ends[1:], constants)
opsets = [helper.make_opsetid("", 17), helper.make_opsetid(QONNX, 1)]
before = cleanup_model(ModelWrapper(helper.make_model(graph, opset_imports=opsets, ir_version=8)))
after = before.transform(ConvertQONNXtoFINN())
results = []
for name, model in (("before", before), ("after", after)):
    (y,) = execute_onnx(model, {model.graph.input[0].name: x}).values()
    results.append(y)
    print(name, [node.op_type for node in model.graph.node], y.ravel().tolist())
made = {name for node in after.graph.node for name in node.output} | {each.name for each in after.graph.initializer}
(shortcut,) = [node for node in after.graph.node if node.op_type == "Mul"]
print("the shortcut reads", list(shortcut.input), "of which nothing makes", [name for name in shortcut.input if name not in made])
right, without = [[0.0, 1.375, 3.125, 7.5]], [[0.0, 1.0, 2.0, 3.0]]
raise SystemExit(not (np.array_equal(results[0], right) and np.array_equal(results[1], without)))
PYTHON
"$folder/venv/bin/python" -W ignore finding.py
