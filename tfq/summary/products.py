"""What a layer multiplies: its inputs by each of its kernels."""

import math
from dataclasses import dataclass
from typing import Any

from tfq.keras_graph import Call, bits_behind, bits_of, unwrapped
from tfq.layers.kernels import kernels_of
from tfq.quantizers.base import FULL_PRECISION
from tfq.summary.kinds import EINSUM, TRANSPOSED


@dataclass(frozen=True)
class Product:
    """The multiply-accumulates of one kernel, for one sample.

    `kernel` is the name of the weight, `weights` the number of its values; `macs` is None where a shape is not known.
    """

    kernel: str
    weights: int
    input_bits: int
    weight_bits: int
    macs: int | None

    @property
    def bit_ops(self) -> int:
        """Multiply-accumulates times the bits of both factors, as DoReFa-Net (arXiv:1606.06160), equation 3, pairs them."""
        return (self.macs or 0) * self.input_bits * self.weight_bits


def products_of(call: Call) -> tuple[Product, ...]:
    """The products of one call of a layer that multiplies by kernels, in the order of computation."""
    layer = unwrapped(call.layer)
    return tuple(
        Product(
            kernel=kernel.name,
            weights=math.prod(kernel.latent.shape),
            # Behind the first of two kernels stand sums, which no quantizer sees.
            input_bits=_input_bits(call, layer) if number == 0 else FULL_PRECISION,
            weight_bits=_weight_bits(call.layer, layer, kernel.quantizer),
            macs=_macs(layer, tuple(kernel.latent.shape), call),
        )
        for number, kernel in enumerate(kernels_of(layer))
    )


def positions(layer: Any, call: Call) -> int | None:
    """How often a whole kernel is applied: at each output pixel; in a transposed convolution, at each input pixel."""
    shape = list(call.input_shapes[0] if isinstance(layer, TRANSPOSED) else call.output_shape)
    # In front of the channels there may be a time axis.
    del shape[-1 - layer.rank if getattr(layer, "data_format", None) == "channels_first" else -1]
    return None if None in shape else math.prod(shape)  # type: ignore[arg-type]


def _macs(layer, kernel_shape, call):
    if isinstance(layer, EINSUM):
        return _einsum_macs(layer.equation, call.input_shapes[0], kernel_shape)
    count = positions(layer, call)
    return None if count is None else count * math.prod(kernel_shape)


def _einsum_macs(equation, input_shape, kernel_shape):
    """One for each choice of all indices, but for that of the sample."""
    inputs, kernel = equation.replace(" ", "").split("->")[0].split(",")
    left, _, right = (inputs if inputs.startswith("...") else inputs[1:]).partition("...")
    sizes = dict(zip(left, input_shape, strict=False)) | dict(zip(reversed(right), reversed(input_shape), strict=False))
    sizes |= dict(zip(kernel, kernel_shape, strict=True))
    others = input_shape[len(left) : len(input_shape) - len(right)] if "..." in inputs else ()
    factors = [*sizes.values(), *others]
    return None if None in factors else math.prod(factors)


def _weight_bits(wrapper, layer, quantizer):
    config = getattr(wrapper, "quantize_config", None)
    if config is None:
        return bits_of(quantizer)
    return min((each.num_bits for _, each in config.get_weights_and_quantizers(layer)), default=FULL_PRECISION)


def _input_bits(call, layer):
    # tfmot quantizes the outputs in front of a layer to as many bits as its weights.
    if hasattr(call.layer, "quantize_config"):
        return min(call.input_bits, _weight_bits(call.layer, layer, None))
    return bits_behind(getattr(layer, "input_quantizer", None), call.input_bits)
