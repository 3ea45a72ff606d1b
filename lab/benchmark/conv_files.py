"""Networks of a single convolution, for each engine."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfq import layers, quantizers
from tfq.backend.keras import keras
from tfq.backend.settings import plain_settings
from tfq.export import FORMATS, verify
from tfq.export.sample import Sample
from tfq.quiet import quiet

# Engines that compute it in bits, and those that compute it in float (or, from that, in 8-bit integers).
_BINARY = {"tfq": "tfq", "lce": "lce"}
_FLOAT = {"tflite_float32": "tflite", "tflite_int8": "tflite_int8", "keras": "keras"}
_IMAGES = 16


@dataclass(frozen=True)
class Files:
    """Files by engine, and `.npy` images for them."""

    files: dict
    images: Path


@plain_settings()
def make(directory, shape):
    """Write a convolution for each engine; each file is loaded again and compared with Keras.

    Args:
        directory: where to; made if missing.
        shape: `lab.benchmark.conv_shapes.Shape`.

    Returns:
        `Files`.

    Raises:
        ExportMismatch: a file computes something else.
        ImportError: the package of an engine is not installed.
    """
    size = (shape.height, shape.height, shape.channels)
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).standard_normal((_IMAGES, *size), np.float32)
    directory.mkdir(parents=True, exist_ok=True)
    np.save(directory / "images.npy", images)
    options = {"kernel_size": shape.kernel, "padding": "same", "use_bias": False}
    bits = {"input_quantizer": quantizers.XnorInputs(), "kernel_quantizer": quantizers.XnorWeights()}
    binary = _model(size, layers.QuantConv2D(shape.filters, **options, **bits))
    plain = _model(size, keras.layers.Conv2D(shape.filters, **options))
    files = _write(directory / "binary", binary, _BINARY, images) | _write(directory / "float", plain, _FLOAT, images)
    return Files(files, directory / "images.npy")


def _model(size, layer):
    inputs = keras.Input(size)
    return keras.Model(inputs, layer(inputs))


def _write(directory, model, formats, images):
    directory.mkdir(exist_ok=True)
    expected = np.asarray(model(images)).reshape(len(images), -1)
    files = {}
    for engine, name in formats.items():
        format, path = FORMATS[name], directory / FORMATS[name].filename
        with quiet(passing=(ImportError,)):
            format.save(model, path, Sample(images))
            results = np.asarray(format.load(path)(images)).reshape(expected.shape)
        agreement = verify.agree(results, expected)
        # Of int8: what its export allows in logits.
        allowed = verify.TOLERANCE if format.lossy is None else format.lossy.most_difference
        if not agreement.median_difference <= allowed:
            raise verify.ExportMismatch(f"{name}: {agreement}; allowed are {allowed:.1e} in the median")
        files[engine] = path
    return files
