"""C source, for microcontrollers and whatever else has a C compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfq.export.format import Format, Lossy, reading

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tfq.c.layouts import Layout
    from tfq.c.residuals import Residual
    from tfq.export.format import Predict
    from tfq.export.sample import Sample

_NAME = "network"


class CSource(Format):
    """A directory with the C of a functional or Sequential model: see `tfq.c`.

    It is compiled to compare it with the model: that needs a C compiler.

    Args:
        flash: most bytes of constants and code; None for any.
        ram: most bytes of arena, input and output; None for any.
        layout: where the files go: one of `tfq.c.layouts.LAYOUTS`; None for `FLAT`, beside each other.
        residual: how tensors are kept that convolutions add to: one of `tfq.c.residuals.RESIDUALS`; None for `FLOAT`.
    """

    name = "c"
    filename = "c"
    marker = f"{_NAME}.json"
    holds_labels = True

    def __init__(
        self, flash: int | None = None, ram: int | None = None, layout: Layout | None = None, residual: Residual | None = None
    ) -> None:
        self._flash, self._ram, self._layout, self._residual = flash, ram, layout, residual
        if residual is not None and residual.rounds:
            self.lossy = Lossy(least_top1=0.85, most_difference=0.3)

    def save(self, model: Any, path: Path, sample: Sample) -> None:
        """Write the files, with the pixel statistics and labels of `sample` and its first images as self-test."""
        from tfq.c.layouts import FLAT
        from tfq.c.residuals import FLOAT
        from tfq.c.write import write
        from tfq.convert.from_keras import from_keras

        self.check(model)
        graph = from_keras(model, sample.pixel_mean, sample.pixel_std, sample.labels)
        images = sample.images
        if images is not None and graph.pixel_mean is not None:
            images = sample.pixels(images[:8])
        limits = {"flash": self._flash, "ram": self._ram}
        write(graph, path, _NAME, inputs=images, layout=self._layout or FLAT, residual=self._residual or FLOAT, **limits)

    def load(self, path: Path) -> Predict:
        """What the compiled file computes, from float32 or uint8 images."""
        from tfq.c.compiled import Compiled
        from tfq.c.layouts import FLAT

        source = (self._layout or FLAT).path(f"{_NAME}.c")
        with reading(path / self.marker, "C source of a network"):
            return Compiled(path / source, manifest=path / self.marker).predict

    def load_uint8(self, path: Path) -> Predict:
        """The same function."""
        return self.load(path)

    def check(self, model: Any) -> None:
        """Raise Unsupported, which names each, where layers of a model have no packed form, or no C."""
        from tfq.c import registry
        from tfq.convert.from_keras import from_keras
        from tfq.convert.layers import Unsupported

        try:
            registry.check(from_keras(model).nodes)
        except registry.NoC as error:
            raise Unsupported(str(error)) from error
