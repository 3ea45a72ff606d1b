"""Quantizers of tfq in TensorFlow Model Optimization (tfmot), for tf_keras: needs the extra `tfmot`."""

from typing import Any

from tfq import layers, quantizers
from tfq.backend.keras import Tensor, is_legacy, keras
from tfq.layers import QuantizedLayer
from tfq.layers.kernel import KernelPlace
from tfq.optional import require
from tfq.quantizers.base import KernelQuantizer, QuantizerLike, register

if not is_legacy:
    raise ImportError("tfq.interop.tfmot is for tfmot, which knows tf_keras alone: set TF_USE_LEGACY_KERAS=1")
tfmot = require("tensorflow_model_optimization").quantization.keras

__all__ = ["TfqQuantizeConfig", "TfqQuantizer"]


@register
class TfqQuantizer(tfmot.quantizers.Quantizer):  # type: ignore[name-defined]
    """A quantizer of tfq, of kernels or of inputs, as one of tfmot.

    What it keeps are weights of tfmot's wrapper. Values and gradients are those that the quantizer has in a layer of tfq.

    Args:
        quantizer: as in the layers of tfq.
        channel_axis: of a kernel: its axes that count the filters, from behind; None of another tensor.

    Raises:
        ValueError: as `tfq.quantizers.get`; or None came.
    """

    def __init__(self, quantizer: QuantizerLike, channel_axis: int | tuple[int, ...] | list[int] | None = None) -> None:
        get = quantizers.get_for_inputs if channel_axis is None else quantizers.get_for_kernel
        self.quantizer: Any = get(quantizer)
        if self.quantizer is None:
            raise ValueError("TfqQuantizer: expected a quantizer of tfq; got quantizer=None")
        self.channel_axis = tuple(channel_axis) if isinstance(channel_axis, list) else channel_axis

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Add the weights of the quantizer, under the `name` of the tensor, to `layer`."""

        def add_weight(own_name: str, shape: tuple = (), initializer: Any = "zeros", trainable: bool = True) -> Any:
            return layer.add_weight(f"{name}_{own_name}", shape=shape, initializer=initializer, trainable=trainable)

        if not hasattr(self.quantizer, "build"):
            return {}
        shape = () if tensor_shape is None else tuple(tensor_shape)  # tfmot does not tell that of activations
        return self.quantizer.build(add_weight, shape, **self._axes())

    def __call__(self, inputs: Tensor, training: bool, weights: dict[str, Any], **kwargs: Any) -> Tensor:
        """Quantize `inputs`; in training the quantizer sees them first."""
        if training and weights:
            self.quantizer.observe(inputs, **weights)
        return self.quantizer(inputs, **self._axes(), **weights)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {"quantizer": quantizers.serialize(self.quantizer), "channel_axis": self.channel_axis}

    def _axes(self):
        return {"channel_axis": self.channel_axis} if isinstance(self.quantizer, KernelQuantizer) else {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TfqQuantizer) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(type(self))


@register
class TfqQuantizeConfig(tfmot.QuantizeConfig):  # type: ignore[name-defined]
    """What of a layer of tf_keras is quantized, and by which quantizers of tfq.

        annotated = tfmot.quantize_annotate_layer(keras.layers.Dense(10), TfqQuantizeConfig(TernaryWeights()))

    tfmot has no quantizers of inputs: quantize what the layer before gives.

    Args:
        kernel_quantizer: of the kernel, or of each kernel where the layer has several, with one scale a filter as in the layers of
            tfq; None leaves it as it is.
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
            for place in _places(cls)
        ]

    def get_activations_and_quantizers(self, layer: keras.layers.Layer) -> list[tuple[Any, TfqQuantizer]]:
        """The activation function of the layer."""
        return [] if self.activation_quantizer is None else [(layer.activation, TfqQuantizer(self.activation_quantizer))]

    def set_quantize_weights(self, layer: keras.layers.Layer, quantize_weights: list[Tensor]) -> None:
        """Let the layer compute with quantized kernels."""
        for place, kernel in zip(_places(_quantized_class(layer)) if quantize_weights else (), quantize_weights, strict=True):
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
    named = [getattr(layers, name) for name in layers.__all__]
    ours = [cls for cls in named if isinstance(cls, type) and issubclass(cls, QuantizedLayer) and issubclass(cls, keras.layers.Layer)]
    by_class = {cls.stock_class(): cls for cls in ours}
    found = by_class.get(type(layer))
    if found is None:
        known = ", ".join(sorted(cls.__name__ for cls in by_class if cls is not None))
        raise ValueError(f"TfqQuantizeConfig: expected a layer of Keras whose kernel tfq can quantize, {known}; got {layer!r}")
    return found


def _places(cls: type[QuantizedLayer]) -> tuple[KernelPlace, ...]:
    return cls.kernel_places()
