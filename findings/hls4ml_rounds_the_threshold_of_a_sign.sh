#!/usr/bin/env bash
# hls4ml merges a batch normalization and a sign into a threshold that is rounded down and ignores the sign of the scale.
#
# sign(scale * x + shift) becomes x >= floor(-shift / scale), in the type of x. Where x is whole, as a sum of signs is, the x between the
# threshold and its floor comes out as +1 instead of -1. With a scale below 0, which training gives to many channels, the comparison
# has to turn around and does not: nearly every sign is wrong. Conversion, compilation and simulation say nothing.
#
# Versions: hls4ml 1.3.0, qonnx 1.0.0, onnx 1.23.2; needs g++. Source: `BatchNormalizationQuantizedTanh.set_thresholds`
# (backends/fpga/fpga_layers.py) floors -bias / scale; `normalize_binary_tanh` (nnet_batchnorm.h) compares with >= alone.
# For low-bit networks: every block of a binary network is product, batch normalization, sign. tfq.interop.hls4ml spells its sign so
# that the optimizer does not see it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check hls4ml==1.3.0 qonnx==1.0.0 onnx==1.23.2 numpy==2.4.6
cd "$folder"
cat > finding.py <<'PYTHON'
import numpy as np
import hls4ml
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model

QONNX = "qonnx.custom_op.general"
x = np.arange(-4, 5, dtype=np.float32)


def network(scale, shift):
    """sign(scale * x + shift) of whole numbers x, times 1."""
    values = {"one": 1.0, "zero": 0.0, "bits": 8.0, "scale": scale, "shift": shift, "identity": np.eye(len(x))}
    nodes = [
        helper.make_node("Quant", ["x", "one", "zero", "bits"], ["q"], domain=QONNX, signed=1, narrow=0, rounding_mode="ROUND"),
        helper.make_node("Mul", ["q", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
        helper.make_node("BipolarQuant", ["shifted", "one"], ["sign"], domain=QONNX),
        helper.make_node("MatMul", ["sign", "identity"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, len(x)]) for name in "xy"]
    constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "signs", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(QONNX, 1)]
    return cleanup_model(ModelWrapper(helper.make_model(graph, opset_imports=opsets, ir_version=8)))


wrong = {}
for number, (scale, shift) in enumerate(((0.5, 0.25), (-0.5, 0.25))):
    model = network(np.full(len(x), scale), np.full(len(x), shift))
    config = hls4ml.utils.config_from_onnx_model(model, granularity="name", backend="Vitis", default_precision="fixed<16,8>")
    project = hls4ml.converters.convert_from_onnx_model(model, output_dir=f"hls{number}", backend="Vitis", hls_config=config)
    project.compile()
    got, wanted = np.ravel(project.predict(x[None])), np.where(scale * x + shift >= 0, 1, -1)
    print(f"sign({scale} x + {shift})", "of", x.astype(int).tolist(), "is", wanted.tolist())
    print("hls4ml:", got.astype(int).tolist())
    wrong[scale] = x[got != wanted].astype(int).tolist()
raise SystemExit(wrong != {0.5: [-1], -0.5: [-4, -3, -2, -1, 1, 2, 3, 4]})
PYTHON
"$folder/venv/bin/python" finding.py 2>/dev/null | grep -E "^(sign|hls4ml)"
