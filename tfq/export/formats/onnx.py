"""ONNX of plain operators, and QONNX: both written from the packed graph, with quantized kernels, on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfq.export.format import Format, reading
from tfq.optional import require

if TYPE_CHECKING:
    from tfq.export.format import Predict
    from tfq.export.sample import Sample
    from tfq.graph.nodes import Graph


class _OfGraph(Format):
    """What both have in common."""

    needs = ("onnx", "onnxruntime")
    holds_labels = True

    def save(self, model: Any, path: Path, sample: Sample) -> None:
        """Write the file, with the pixel statistics and labels of `sample` in its metadata."""
        from tfq.convert.from_keras import from_keras

        written = self._written(from_keras(model, sample.pixel_mean, sample.pixel_std, sample.labels))
        Path(path).write_bytes(written.SerializeToString(deterministic=True))

    def load(self, path: Path) -> Predict:
        """What onnxruntime computes of it."""
        from tfq.onnx import run

        with reading(path, f"{self.name} file"):
            model = require("onnx").load_model_from_string(Path(path).read_bytes())
            return self._runs(run, model)

    def check(self, model: Any) -> None:
        """Raise Unsupported, which names each, where layers of a model have no form."""
        from tfq.convert.from_keras import from_keras

        self._written(from_keras(model))

    def sizes(self, path: Path) -> list[tuple[str, str, int, int]]:
        """(name, type of the values, bytes, bytes in float32) of each constant of more than one value."""
        onnx = require("onnx")
        arrays = [(each.name, onnx.numpy_helper.to_array(each)) for each in onnx.load(str(path)).graph.initializer]
        return [(name, array.dtype.name, array.nbytes, 4 * array.size) for name, array in arrays if array.size > 1]

    def _written(self, graph: Graph) -> Any:
        """The model of ONNX; raises Unsupported."""
        from tfq.convert.layers import Unsupported
        from tfq.onnx import OnnxError

        try:
            return self._write(graph)
        except OnnxError as error:
            raise Unsupported(f"the model cannot be exported to {self.name}: {error}") from error

    def _write(self, graph: Graph) -> Any:
        raise NotImplementedError

    def _runs(self, run: Any, model: Any) -> Predict:
        raise NotImplementedError


class Onnx(_OfGraph):
    """A file for onnxruntime and others: opset 17; quantized kernels in 8 or 16 bits, their scales behind the products."""

    name = "onnx"
    filename = "model.onnx"

    def _write(self, graph: Graph) -> Any:
        from tfq import onnx

        return onnx.plain(graph)

    def _runs(self, run: Any, model: Any) -> Predict:
        return run.predictor(model)


class Qonnx(_OfGraph):
    """A file for FINN and hls4ml: `Quant` and `BipolarQuant`, channels first, one image."""

    name = "qonnx"
    filename = "model_qonnx.onnx"

    def _write(self, graph: Graph) -> Any:
        from tfq import onnx

        return onnx.qonnx(graph)

    def _runs(self, run: Any, model: Any) -> Predict:
        return run.qonnx_predictor(model)
