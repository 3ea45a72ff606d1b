"""TensorFlow Lite in 8-bit integers, quantized after training; images and logits stay float32."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tfq.export import flatbuffer
from tfq.export.format import Format, Lossy
from tfq.export.formats import tflite
from tfq.optional import require

if TYPE_CHECKING:
    from typing import Any

    from tfq.export.format import Predict
    from tfq.export.sample import Sample


class TFLiteInt8(Format):
    """A flatbuffer with 8-bit kernels (one scale a filter) and activations.

    Kernels of k bits are rounded to the nearest of the 255 steps that int8 has for a filter: of no consequence for one bit or
    ternary, up to half a step of 1/127 for DoReFa's, whose levels (2 q - n) / n lie elsewhere. Inputs of 8 bits (DoReFa) keep the
    grid they were trained with, q / 255, with zero at -128; the ranges of all other activations (images, residual sums, logits)
    are measured. What all of this costs is in the report: `Report.accuracy` on labelled images, `Report.agreement` on others.
    """

    name = "tflite_int8"
    filename = "model_int8.tflite"
    needs = ("tensorflow",)
    backends = ("tensorflow",)
    lossy = Lossy(least_top1=0.9, most_difference=0.1)

    def save(self, model: Any, path: Path, sample: Sample) -> None:
        """Write the file; on the images of `sample` the ranges of the activations are measured."""
        from tfq.export.frozen import byte_inputs

        lite = require("tensorflow").lite

        def configure(converter):
            converter.optimizations = [lite.Optimize.DEFAULT]
            converter.representative_dataset = sample.representative
            converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS_INT8]

        with byte_inputs(model):
            Path(path).write_bytes(tflite.converted(model, configure))

    def load(self, path: Path, threads: int | None = None) -> Predict:
        """What the file computes, on so many threads; None for the interpreter's own choice."""
        return tflite.TFLite.load(path, threads)

    def other_runtimes(self, path: Path) -> dict[str, Predict]:
        """What ai-edge-litert computes of the file, where it is installed."""
        return tflite.litert(path)

    def sizes(self, path: Path) -> list[tuple[str, str, int, int]]:
        """(name, operator, bytes, bytes in float32) of each operator with constants."""
        return flatbuffer.sizes(path)
