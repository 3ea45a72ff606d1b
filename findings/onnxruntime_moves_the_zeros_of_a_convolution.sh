#!/usr/bin/env bash
# onnxruntime, at its basic level of optimization, gives nearly half of the exact zeros of a binary convolution another sign.
#
# A Mul (or BatchNormalization) behind a Conv is multiplied into the kernel. As written the sums of +-1 are whole numbers, exact in float32, and
# a sum that is 0 stays 0 under any scale. With the kernel +-0.0371... the same sum is 1e-7 or -1e-7. `ORT_DISABLE_ALL` gives zeros. A
# result that is not 0 keeps its sign, so no tolerance sees it but that of the next sign, which moves by 2.
#
# Versions: onnxruntime 1.32.0 (CPU), onnx 1.23.2. Source: `ConvMulFusion`.
# For low-bit networks: what follows is a sign with sign(0) = +1, or a comparison with 0. tfq puts a `Round` between Conv and Mul, which
# changes no whole number and keeps them apart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cd "$folder"
cat > finding.py <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

print("onnxruntime", ort.__version__)
rng = np.random.default_rng(0)
signs = lambda *shape: rng.choice([-1.0, 1.0], shape).astype(np.float32)
values = {"kernel": signs(256, 256, 3, 3), "scale": rng.uniform(0.01, 0.1, (1, 256, 1, 1)).astype(np.float32)}
nodes = [helper.make_node("Conv", ["x", "kernel"], ["sums"]), helper.make_node("Mul", ["sums", "scale"], ["y"])]
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 256, None, None]) for name in "xy"]
constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
graph = helper.make_graph(nodes, "block", ends[:1], ends[1:], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def run(level):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


x = signs(4, 256, 10, 10)
as_written, optimized = run(ort.GraphOptimizationLevel.ORT_DISABLE_ALL), run(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
zero = as_written == 0
flipped = (as_written >= 0) != (optimized >= 0)
print(f"{zero.mean():.2%} of the results are 0; optimized {(optimized[zero] == 0).mean():.0%} of these are 0")
print(f"signs (x >= 0) that the optimization changes: {flipped.mean():.2%} of all, {flipped[zero].mean():.0%} of the zeros")
print(f"where the result is not 0: {flipped[~zero].sum()}")
raise SystemExit(not (flipped[zero].mean() > 0.3 and not flipped[~zero].any()))
PYTHON
"$folder/venv/bin/python" finding.py
