"""Registers layers of tfq with hls4ml, whose dispatcher asks for them by module and class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfq import layers
from tfq.backend.keras import is_legacy
from tfq.convert.layers import Call, Unsupported, converter_of
from tfq.interop.hls4ml.configs import config_of
from tfq.optional import require

if is_legacy:
    raise ImportError("tfq.interop.hls4ml is for hls4ml's Keras 3 front end: unset TF_USE_LEGACY_KERAS")
_base = require("hls4ml.converters.keras_v3._base")
_LAYERS = (layers.QuantConv2D, layers.QuantDense, layers.QuantActivation, layers.BatchNormalization)


class QuantizedLayerHandler(_base.KerasV3LayerHandler):  # type: ignore[name-defined]
    """A layer as the operations of a packed graph, and each of them as a layer of hls4ml.

    Raises:
        Unsupported: the layer has no packed form, or hls4ml none for an operation; the message names the layer.
    """

    handles = tuple(f"{cls.__module__}.{cls.__name__}" for cls in _LAYERS)

    def handle(self, layer: Any, in_tensors: Sequence[Any], out_tensors: Sequence[Any]) -> tuple[dict[str, Any], ...]:
        """The configurations of one call of a layer, each on the result of the one before."""
        shapes = [tuple(tensor.shape[1:]) for tensor in (*in_tensors, *out_tensors)]
        if any(None in shape for shape in shapes):
            raise Unsupported(f"layer {layer.name!r} has inputs or results of unknown size {shapes}: hls4ml takes known ones")
        call = Call(layer.name, layer, shapes[:1], shapes[-1])
        configs = [
            config
            for operation, attributes in converter_of(layer)(call)  # type: ignore[misc]
            for config in config_of(call, operation(layer.name, ("input",), **attributes))
        ] or [{"class_name": "Activation", "activation": "linear"}]
        return _linked(layer.name, configs, in_tensors[0].name, out_tensors[0].name)


def _linked(name, configs, first, last):
    """Names for layers and tensors; the main layer bears the name of Keras' own."""
    tensors = [first, *(f"{last}_{place}" for place in range(1, len(configs))), last]
    main = next((place for place, config in enumerate(configs) if "weight_data" in config), len(configs) - 1)
    ends = zip(configs, tensors, tensors[1:], strict=False)
    return tuple(
        {
            **config,
            "name": name if place == main else f"{name}_{config['class_name'].lower()}_{place}",
            "input_keras_tensor_names": [source],
            "output_keras_tensor_names": [result],
        }
        for place, (config, source, result) in enumerate(ends)
    )
