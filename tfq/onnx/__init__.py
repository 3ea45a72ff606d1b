"""Packed networks as ONNX models, by the package `onnx` alone: no Keras is imported, and a `.tfq` file is enough.

    from tfq import onnx
    from tfq.graph import file

    model = onnx.plain(file.read("model.tfq"))      # operators of ONNX, for onnxruntime and others
    model = onnx.qonnx(file.read("model.tfq"))      # Quant and BipolarQuant of QONNX, for hls4ml and FINN

Both hold quantized kernels as whole numbers. Sums of products are whole numbers too, and the scales come behind them.
"""

from tfq.onnx.emitters import OnnxError, emits
from tfq.onnx.model import OPSET, plain, qonnx

__all__ = ["OPSET", "OnnxError", "emits", "plain", "qonnx"]
