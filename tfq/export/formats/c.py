"""C source, for microcontrollers and whatever else has a C compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfq.export.format import Format, Lossy, reading

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tfq.c.edges import Edges
    from tfq.c.layouts import Layout
    from tfq.c.residuals import Residual
    from tfq.export.format import Predict
    from tfq.export.sample import Sample

_NAME = "network"
# A binary network amplifies small changes: images moved by 0.1 % change the class of 7 % of them, int8 edges that of 9 %, and the
# logits by 0.1 of the largest in the median (XNOR resnet20; lab/c_accuracy.py has the classes). Residuals in 16 bits change the
# class of 3 to 8 %, and the logits by 0.10 to 0.16 (results/c_accuracy.json). Of the logits twice what was seen is allowed.
_INT8_EDGES = Lossy(least_top1=0.85, most_difference=0.2)
_INT16_RESIDUAL = Lossy(least_top1=0.85, most_difference=0.3)


class CSource(Format):
    """A directory with the C of a functional or Sequential model: see `tfq.c`.

    It is compiled to compare it with the model: that needs a C compiler.

    Args:
        flash: most bytes of constants and code; None for any.
        ram: most bytes of arena, input and output; None for any.
        layout: where the files go: one of `tfq.c.layouts.LAYOUTS`; None for `FLAT`, beside each other.
        edges: how products of float inputs and float weights are computed: one of `tfq.c.edges.EDGES`; None for `FLOAT`.
        residual: how tensors are kept that convolutions add to: one of `tfq.c.residuals.RESIDUALS`; None for `FLOAT`.

    With either in fixed point the format rounds, and is held to less (`Format.lossy`).
    """

    name = "c"
    filename = "c"
    marker = f"{_NAME}.json"
    holds_labels = True

    def __init__(
        self,
        flash: int | None = None,
        ram: int | None = None,
        layout: Layout | None = None,
        edges: Edges | None = None,
        residual: Residual | None = None,
    ) -> None:
        self._flash, self._ram, self._layout, self._edges, self._residual = flash, ram, layout, edges, residual
        if residual is not None and residual.rounds:
            self.lossy = _INT16_RESIDUAL
        elif edges is not None and edges.rounds:
            self.lossy = _INT8_EDGES

    def save(self, model: Any, path: Path, sample: Sample) -> None:
        """Write the files, with the pixel statistics and labels of `sample` and its first images as self-test."""
        from tfq.c import edges, residuals
        from tfq.c.layouts import FLAT
        from tfq.c.write import write
        from tfq.convert.from_keras import from_keras

        self.check(model)
        graph = from_keras(model, sample.pixel_mean, sample.pixel_std, sample.labels)
        images = sample.images
        if images is not None and graph.pixel_mean is not None:
            images = sample.pixels(images[:8])
        write(
            graph,
            path,
            _NAME,
            inputs=images,
            flash=self._flash,
            ram=self._ram,
            layout=self._layout or FLAT,
            edges=self._edges or edges.FLOAT,
            residual=self._residual or residuals.FLOAT,
        )

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
