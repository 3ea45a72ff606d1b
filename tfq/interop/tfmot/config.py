"""What of a layer tfmot quantizes by quantizers of tfq."""

from typing import Any

from tfq import layers, quantizers
from tfq.backend.keras import Tensor, keras
from tfq.interop.tfmot.installed import tfmot
from tfq.interop.tfmot.quantizer import TfqQuantizer
from tfq.layers import QuantizedLayer
from tfq.quantizers.base import QuantizerLike, register


@register
class TfqQuantizeConfig(tfmot.QuantizeConfig):
    """What of a layer of tf_keras is quantized, and by which quantizers of tfq.

        layer = tfmot.quantize_annotate_layer(keras.layers.Dense(10), TfqQuantizeConfig(TernaryWeights()))

    tfmot has no quantizers of inputs: quantize what the layer before gives. Apply with `TfqQuantizeScheme()`.

    Args:
        kernel_quantizer: of the kernel, or of each kernel where the layer has several; it knows the filters as in the layers of
            tfq. None leaves kernels as they are.
        activation_quantizer: of what the layer's activation function gives, or None.
        output_quantizer: of what the layer gives, or None; for a layer without an activation.

    Raises:
        ValueError: a quantizer of another operand.
    """

    def __init__(
        self,
        kernel_quantizer: QuantizerLike = None,
        activation_quantizer: QuantizerLike = None,
        output_quantizer: QuantizerLike = None,
    ) -> None:
        self.kernel_quantizer = quantizers.get_for_kernel(kernel_quantizer)
        self.activation_quantizer = quantizers.get_for_inputs(activation_quantizer)
        self.output_quantizer = quantizers.get_for_inputs(output_quantizer)

    def get_weights_and_quantizers(self, layer: keras.layers.Layer) -> list[tuple[Any, TfqQuantizer]]:
        """The kernels of a layer of Keras that tfq has a quantized one of; no bias.

        Raises:
            ValueError: it is another layer.
        """
        if self.kernel_quantizer is None:
            return []
        cls = _quantized_class(layer)
        return [
            (getattr(layer, place.weight), TfqQuantizer(self.kernel_quantizer, getattr(cls, place.channel_axis)))
            for place in cls.kernel_places()
        ]

    def get_activations_and_quantizers(self, layer: keras.layers.Layer) -> list[tuple[Any, TfqQuantizer]]:
        """The activation function of the layer."""
        return [] if self.activation_quantizer is None else [(layer.activation, TfqQuantizer(self.activation_quantizer))]

    def set_quantize_weights(self, layer: keras.layers.Layer, quantize_weights: list[Tensor]) -> None:
        """Let the layer compute with quantized kernels."""
        if quantize_weights:
            for place, kernel in zip(_quantized_class(layer).kernel_places(), quantize_weights, strict=True):
                setattr(layer, place.weight, kernel)

    def set_quantize_activations(self, layer: keras.layers.Layer, quantize_activations: list[Any]) -> None:
        """Let the layer compute with a quantized activation."""
        for activation in quantize_activations:
            layer.activation = activation

    def get_output_quantizers(self, layer: keras.layers.Layer) -> list[TfqQuantizer]:
        """Of what the layer gives."""
        return [] if self.output_quantizer is None else [TfqQuantizer(self.output_quantizer)]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        of = {"kernel": self.kernel_quantizer, "activation": self.activation_quantizer, "output": self.output_quantizer}
        return {f"{name}_quantizer": quantizers.serialize(quantizer) for name, quantizer in of.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TfqQuantizeConfig) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(type(self))


def _quantized_class(layer: keras.layers.Layer) -> type[QuantizedLayer]:
    """The class of tfq that quantizes layers of this class, whose kernels it knows."""
    public = [getattr(layers, name) for name in layers.__all__]
    complete = [cls for cls in public if isinstance(cls, type) and issubclass(cls, keras.layers.Layer)]
    by_class = {cls.stock_class(): cls for cls in complete if issubclass(cls, QuantizedLayer)}
    found = by_class.get(type(layer))
    if found is None:
        known = ", ".join(sorted(cls.__name__ for cls in by_class if cls is not None))
        raise ValueError(f"TfqQuantizeConfig: expected a layer of Keras whose kernel tfq can quantize, {known}; got {layer!r}")
    return found
