"""The packed format of this library: kernels in as few bits as they need, for `tfq.runtime`."""

import importlib
import math

from tfq.convert.from_keras import from_keras
from tfq.graph import file
from tfq.graph import nodes as g

FILENAME = "model.tfq"
NEEDS = ("safetensors", "numba")
HOLDS_LABELS = True


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


def check(model):
    """Raise Unsupported, which names each, where layers of a model have no packed form."""
    from_keras(model)


def load(path):
    """The function from a batch of images (float32 or uint8 array) to logits that `tfq.runtime` computes."""
    return importlib.import_module("tfq.runtime").load(path).predict


load_uint8 = load  # the engine looks at the type of the images


def sizes(path):
    """(name, kind and bits of the kernel, bytes, bytes in float32) of each operation that holds weights."""
    rows = [_row(node) for node in file.read(path).nodes]
    return [row for row in rows if row[2]]


def _row(node):
    kernel = getattr(node, "kernel", None)
    kind, own, full = "", 0, 0
    if isinstance(kernel, g.PackedKernel):
        kind = f"{kernel.coding} {kernel.bits}"
        own, full = kernel.planes.nbytes + kernel.scale.nbytes, 4 * math.prod(kernel.shape)
    elif kernel is not None:
        kind, own, full = "float 32", kernel.values.nbytes, kernel.values.nbytes
    for name in ("bias", "scale", "shift"):
        values = getattr(node, name, None)
        size = 0 if values is None else values.nbytes
        own, full = own + size, full + size
    return node.name, kind, own, full
