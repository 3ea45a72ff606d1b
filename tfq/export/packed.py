"""The packed format of this library: kernels in as few bits as they need, for `tfq.runtime`."""

import importlib

from tfq.export.graph import from_keras
from tfq.runtime import file

FILENAME = "model.tfq"


def write(model, path, sample):
    """Write `model` as a `.tfq` file.

    Args:
        model: functional or Sequential Keras model.
        path: file to write.
        sample: `Sample`, for its pixel statistics and labels.

    Raises:
        Unsupported: a layer, or an option of one, has no packed form; the message names it.
    """
    file.write(from_keras(model, sample.pixel_mean, sample.pixel_std, sample.labels), path)


def load(path):
    """The function from a batch of images (float32 or uint8 array) to logits that `tfq.runtime` computes."""
    return importlib.import_module("tfq.runtime").load(path).predict
