"""Keras' own `.keras` file, without the state of the optimizer."""

from __future__ import annotations

import textwrap
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tfq.export.errors import ExportError
from tfq.export.format import Format

if TYPE_CHECKING:
    from typing import Any

    from tfq.export.format import Predict
    from tfq.export.sample import Sample


_BATCH_SIZE = 128


class KerasFile(Format):
    """A model with its latent kernels, to be trained on, or to be loaded where tfq is installed."""

    name = "keras"
    filename = "model.keras"
    float32_only = False

    def save(self, model: Any, path: Path, sample: Sample | None = None) -> None:
        """Write a functional or Sequential model; `sample` is not used."""
        from tfq.backend.keras import keras

        # A model of the same layers that was never compiled: the optimizer of a trained one takes twice as much as its weights.
        keras.Model(model.inputs, model.outputs, name=model.name).save(str(path))

    def load(self, path: Path) -> Predict:
        """What the model in the file computes.

        Raises:
            ExportError: it is no such file, or a damaged one.
            Unsupported: Keras cannot load what it saved, such as layers of a class that is not registered.
        """
        from tfq.backend.keras import load_model
        from tfq.convert.layers import Unsupported

        if not zipfile.is_zipfile(path):
            raise ExportError(f"{path} is no model of Keras: it is no zip file, or one that is cut off")
        try:
            model = load_model(path)
        except (NotImplementedError, TypeError, ValueError) as error:
            # Of an error within a layer, Keras tells all about the model first.
            reason = textwrap.shorten(str(error).split("Exception encountered: ")[-1], 300, placeholder=" ...")
            raise Unsupported(f"Keras cannot load the model that it saved: {reason}") from error
        return lambda images: model.predict(images, batch_size=_BATCH_SIZE, verbose=0)

    def in_float(self, model: Any) -> tuple[str, ...]:
        """All low-bit layers: their latent kernels are float32."""
        from tfq.export import low_bit

        return low_bit.names(model)

    def sizes(self, path: Path) -> list[tuple[str, str, int, int]]:
        """(name, kind of layer, bytes, bytes in float32) of each layer with weights."""
        from tfq.backend.keras import load_model

        return list(_sizes(load_model(Path(path)), ""))


def _sizes(model, prefix):
    from tfq.backend.keras import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _sizes(layer, f"{prefix}{layer.name}/")
        elif layer.weights:
            weights = layer.get_weights()
            count = sum(values.size for values in weights)
            yield prefix + layer.name, type(layer).__name__, sum(values.nbytes for values in weights), 4 * count
