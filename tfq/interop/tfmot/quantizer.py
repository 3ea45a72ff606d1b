"""A quantizer of tfq as one of tfmot."""

from typing import Any

from tfq import quantizers
from tfq.backend.keras import Tensor, keras
from tfq.interop.tfmot.installed import tfmot
from tfq.quantizers.base import KernelQuantizer, QuantizerLike, register


@register
class TfqQuantizer(tfmot.quantizers.Quantizer):
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
            weight = layer.add_weight(f"{name}_{own_name}", shape=shape, initializer=initializer, trainable=trainable)
            if trainable:
                # To the front. tfmot puts the weights of a layer that is built already there, but not those of one from a file.
                layer._trainable_weights.insert(0, layer._trainable_weights.pop())
            return weight

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
