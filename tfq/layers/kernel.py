"""The kernels of a layer: where each lies, and what it is quantized by."""

from typing import Any, NamedTuple

from tfq.backend.gradients import read
from tfq.backend.keras import Tensor, keras
from tfq.layers import low_rank
from tfq.layers.state import QuantizerState, arguments
from tfq.quantizers.base import KernelQuantizer, Quantizer
from tfq.quantizers.grids import Codes, Grid, Integers, encode


class KernelPlace(NamedTuple):
    """Names of what a quantized layer has for one of its kernels.

    Args:
        weight: name of the attribute, and of the weight, that is the latent kernel.
        quantizer: of the argument of the constructor, and of the attribute, that is its quantizer, and ends in `_quantizer`.
        constraint: of the argument of the constructor for its constraint.
        channel_axis: of the attribute that is the axis, or the axes, of the kernel that count its filters.
    """

    weight: str
    quantizer: str
    constraint: str
    channel_axis: str

    @property
    def operand(self) -> str:
        """What the kernel is called among the operands of its layer, such as `kernel` or `pointwise`."""
        return self.quantizer.removesuffix("_quantizer")

    @property
    def state(self) -> str:
        """Name of the attribute for what the quantizer keeps."""
        return f"_{self.operand}_state"


class Kernel:
    """One kernel of any layer: of Keras, of larq, or of tfq.

    Args:
        layer: the layer.
        weight: name of the attribute that is the latent kernel.
        quantizer: of the one that is its quantizer; a layer of Keras has none.
    """

    channel_axis: int | tuple[int, ...] = -1

    def __init__(self, layer: keras.layers.Layer, weight: str, quantizer: str) -> None:
        self.layer = layer
        self.name = weight
        self._quantizer = quantizer

    @property
    def is_built(self) -> bool:
        """Whether the weight is there."""
        return getattr(self.layer, self.name, None) is not None

    @property
    def latent(self) -> Any:
        """The weight that is trained and saved; with Keras' LoRA the sum that stands in its place."""
        return low_rank.latent(self.layer, self.name)

    @property
    def quantizer(self) -> Any:
        """What quantizes it, or None."""
        return getattr(self.layer, self._quantizer, None)

    @property
    def arguments(self) -> dict[str, Any]:
        """What its quantizer takes next to the kernel."""
        return {}

    @property
    def quantized(self) -> Tensor:
        """The kernel as the forward pass uses it."""
        # larq's gradients refuse a variable.
        return self.latent if self.quantizer is None else self.quantizer(read(self.latent), **self.arguments)

    @property
    def grid(self) -> Grid | None:
        """The values that its quantizer ends on, but for a scale; None where it tells none, or none that gives codes."""
        if not isinstance(self.quantizer, Quantizer):
            return None
        grid = self.quantizer.grid(**{name: value for name, value in self.arguments.items() if name != "channel_axis"})
        # A quantizer of kernels alone tells the step of integers.
        return grid if isinstance(self.quantizer, KernelQuantizer) or not isinstance(grid, Integers) else None

    @property
    def codes(self) -> Codes | None:
        """The quantized kernel as integers and their scale; None where its quantizer tells no grid."""
        grid = self.grid
        if grid is None:
            return None
        if isinstance(self.quantizer, KernelQuantizer):
            return self.quantizer.encode(self.latent, **self.arguments)
        return encode(self.quantized, grid, self.channel_axis)


class QuantizedKernel(Kernel):
    """One kernel of a `QuantizedLayer`.

    Args:
        layer: the layer.
        place: where in it.
    """

    def __init__(self, layer: Any, place: KernelPlace) -> None:
        super().__init__(layer, place.weight, place.quantizer)
        self.place = place

    @property
    def channel_axis(self) -> int | tuple[int, ...]:  # type: ignore[override]
        """Its axes that count the filters, from behind."""
        return getattr(self.layer, self.place.channel_axis)

    def set_quantizer(self, quantizer: Any) -> None:
        """Put another quantizer in the place of its own, which keeps the same variables."""
        setattr(self.layer, self.place.quantizer, quantizer)

    @property
    def state(self) -> QuantizerState | None:
        """What its quantizer keeps, or None."""
        return getattr(self.layer, self.place.state)

    @property
    def arguments(self) -> dict[str, Any]:
        """What its quantizer takes next to the kernel: the axes of the filters, and what it keeps in this layer."""
        return arguments(self.quantizer, self.state, self.channel_axis)

    @property
    def quantized(self) -> Tensor:
        """The kernel as the forward pass uses it."""
        self.layer.note_quantized(self)
        return self.latent if self.quantizer is None else self.quantizer(self.latent, **self.arguments)
