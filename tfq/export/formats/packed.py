"""The packed format of this library: kernels in as few bits as they need, for `tfq.runtime`."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING

from tfq.export.format import Format

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tfq.export.format import Predict
    from tfq.export.sample import Sample


class Packed(Format):
    """A `.tfq` file of a functional or Sequential model."""

    name = "tfq"
    filename = "model.tfq"
    needs = ("safetensors", "numba")
    holds_labels = True

    def save(self, model: Any, path: Path, sample: Sample) -> None:
        """Write the file, with the pixel statistics and labels of `sample`."""
        from tfq.convert.from_keras import from_keras
        from tfq.graph import file

        file.write(from_keras(model, sample.pixel_mean, sample.pixel_std, sample.labels), path)

    def load(self, path: Path) -> Predict:
        """What `tfq.runtime` computes, from float32 or uint8 images: the engine looks at their type."""
        return importlib.import_module("tfq.runtime").load(path).predict

    def load_uint8(self, path: Path) -> Predict:
        """The same function."""
        return self.load(path)

    def check(self, model: Any) -> None:
        """Raise Unsupported, which names each, where layers of a model have no packed form."""
        from tfq.convert.from_keras import from_keras

        from_keras(model)

    def sizes(self, path: Path) -> list[tuple[str, str, int, int]]:
        """(name, kind and bits of the kernel, bytes, bytes in float32) of each operation that holds weights."""
        from tfq.graph import file

        rows = [_row(node) for node in file.read(path).nodes]
        return [row for row in rows if row[2]]


def _row(node):
    from tfq.graph import nodes as g

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
