"""A scheme of tfmot that quantizes what is annotated, and nothing else."""

from typing import Any

from tfq.backend.keras import keras
from tfq.interop.tfmot.installed import tfmot


class TfqQuantizeScheme(tfmot.QuantizeScheme):
    """Layers with a configuration of their own are quantized by it; the model stays as it is otherwise.

        model = tfmot.quantize_apply(annotated, TfqQuantizeScheme())

    tfmot's default scheme quantizes the inputs of the model too, and what stands in front of an annotated layer, to 8 bits.
    """

    def get_layout_transformer(self) -> Any:
        """Nothing is transformed."""
        return _AsItIs()

    def get_quantize_registry(self) -> Any:
        """No layer has a configuration that is not given."""
        return _NoDefaults()


class _AsItIs(tfmot.QuantizeLayoutTransform):
    def apply(self, model: keras.Model, layer_quantize_map: dict) -> tuple[keras.Model, dict]:
        return model, layer_quantize_map


class _NoDefaults(tfmot.QuantizeRegistry):
    def supports(self, layer: keras.layers.Layer) -> bool:
        return False

    def get_quantize_config(self, layer: keras.layers.Layer) -> None:
        return None
