"""TensorFlow Lite in 8-bit integers, quantized after training; images and logits stay float32."""

from pathlib import Path

from tfq.export.formats import tflite
from tfq.export.frozen import byte_inputs
from tfq.optional import require

FILENAME = "model_int8.tflite"
# Rounding to 8 bits changes logits: the smallest share of images with the same top-1, the largest change in the median.
LOSSY = (0.9, 0.1)


def write(model, path, sample):
    """Write `model` with 8-bit kernels (one scale a filter) and activations.

    Kernels of k bits are rounded to the nearest of the 255 steps that int8 has for a filter: of no consequence for one bit or
    ternary, up to half a step of 1/127 for DoReFa's, whose levels (2 q - n) / n lie elsewhere. Inputs of 8 bits (DoReFa) keep the
    grid they were trained with, q / 255, with zero at -128; the ranges of all other activations (images, residual sums, logits)
    are measured. What all of this costs is in the report: `Report.accuracy` on labelled images, `Report.agreement` on others.

    Args:
        model: built Keras model of one input and one output, on TensorFlow.
        path: file to write.
        sample: `Sample` with images, on which the ranges of the activations are measured.
    """
    lite = require("tensorflow").lite

    def configure(converter):
        converter.optimizations = [lite.Optimize.DEFAULT]
        converter.representative_dataset = sample.representative
        converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS_INT8]

    with byte_inputs(model):
        Path(path).write_bytes(tflite.converted(model, configure))


load = tflite.load
sizes = tflite.sizes
