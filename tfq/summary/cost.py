"""Cost of one call of a layer."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfq.backend.keras import keras
from tfq.keras_graph import Call, unwrapped
from tfq.quantizers.base import FULL_PRECISION
from tfq.summary.kinds import is_of_layers, kind_of, multiplies_by_weights, multiplies_matrices
from tfq.summary.products import Product, positions, products_of


@dataclass(frozen=True)
class LayerCost:
    """Cost of one call of one layer, for one sample.

    `kind` is convolution, dense, normalization, pooling, activation, lookup, elementwise or other; `layer_type` the name of the
    class. Shapes are without the batch axis; a size that is not known is None. `products` has the multiply-accumulates of each
    kernel. `bias_ops` counts 1 per output of a layer with a bias; `activation_ops` 1 per element of an activation, be it a layer
    or the `activation` of one; `other_ops` 2 per element for batch normalization, 1 per input element for pooling, 1 per element
    and operand after the first for sums and products, and what the K-map of XNOR-Net adds. `params_by_bits` maps a bit width to
    the number of weights that have it. The first row of a layer that is called again holds its parameters and memory. `left_out`
    says what is not counted of it, and why; None where all is.
    """

    name: str
    kind: str
    layer_type: str
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]
    products: tuple[Product, ...]
    bias_ops: int
    activation_ops: int
    other_ops: int
    params_by_bits: dict[int, int]
    trainable_params: int
    left_out: str | None

    @property
    def counted(self) -> bool:
        """Whether all that it computes is counted."""
        return self.left_out is None

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return sum(product.macs or 0 for product in self.products)

    @property
    def macs_by_bits(self) -> dict[tuple[int, int], int]:
        """Multiply-accumulates of each pair (input bits, weight bits)."""
        found: Counter[tuple[int, int]] = Counter()
        for product in self.products:
            if product.macs:
                found[product.input_bits, product.weight_bits] += product.macs
        return dict(found)

    @property
    def bit_ops(self) -> int:
        """Multiply-accumulates times the bits of both factors."""
        return sum(product.bit_ops for product in self.products)

    @property
    def input_bits(self) -> int:
        """Bits of its inputs; 32 where it multiplies by no kernel."""
        return self.products[0].input_bits if self.products else FULL_PRECISION

    @property
    def weight_bits(self) -> int:
        """Bits of its kernel, of several the most; 32 where it has none."""
        return max((product.weight_bits for product in self.products), default=FULL_PRECISION)

    @property
    def params(self) -> int:
        """Number of weights."""
        return sum(self.params_by_bits.values())

    @property
    def weight_memory_bits(self) -> dict[int, int]:
        """Bits of the weights of each bit width."""
        return {bits: bits * count for bits, count in self.params_by_bits.items()}

    @property
    def compression(self) -> float:
        """How many times smaller its weights are than in float32."""
        return compression(self.params_by_bits)

    @property
    def has_macs(self) -> bool:
        """Whether it multiplies and accumulates."""
        return multiplies_by_weights(self.kind)

    @property
    def is_quantized(self) -> bool:
        """Whether its kernels take fewer than 32 bits."""
        return self.weight_bits < FULL_PRECISION


def compression(params_by_bits: dict[int, int]) -> float:
    """How many times smaller weights are than in float32; 1 for none."""
    bits = sum(width * count for width, count in params_by_bits.items())
    return FULL_PRECISION * sum(params_by_bits.values()) / bits if bits else 1.0


def cost_of(call: Call, weights: Sequence[Any]) -> LayerCost:
    """Cost of a `Call`.

    Args:
        call: the call.
        weights: those of its layer that no call before has counted.
    """
    layer = unwrapped(call.layer)
    kind = kind_of(layer)
    products = products_of(call) if multiplies_by_weights(kind) else ()
    outputs = _size(call.output_shape)
    other_ops = _other_ops(layer, kind, call)
    return LayerCost(
        name=call.name,
        kind=kind,
        layer_type=type(layer).__name__,
        input_shape=call.input_shapes[0],
        output_shape=call.output_shape,
        products=products,
        bias_ops=(outputs or 0) if products and getattr(layer, "bias", None) is not None else 0,
        activation_ops=(outputs or 0) if kind == "activation" or (products and _has_activation(layer)) else 0,
        other_ops=other_ops or 0,
        params_by_bits=_params_by_bits(products, sum(map(_count, weights))),
        trainable_params=_trainable(call.layer, weights),
        left_out=_left_out(layer, kind, [other_ops, *(product.macs for product in products)]),
    )


def _left_out(layer, kind, counts):
    if multiplies_by_weights(kind) and not layer.built:
        return "it is not built"
    if None in counts:
        return "a size of its shapes is not known"
    if is_of_layers(layer):
        return "what it computes between its layers, each of which is counted once"
    return "it multiplies matrices in a way that is not known here" if multiplies_matrices(layer) else None


def _size(shape):
    return None if None in shape else math.prod(shape)


def _has_activation(layer):
    function = getattr(layer, "activation", None)
    return function not in (None, keras.activations.linear) and hasattr(function, "__name__")  # tfmot's objects have none


def _other_ops(layer, kind, call):
    """Number of what is no multiply-accumulate; None where a shape is not known."""
    inputs, outputs = _size(call.input_shapes[0]), _size(call.output_shape)
    if kind == "normalization":
        return None if outputs is None else 2 * outputs
    if kind == "pooling":
        return inputs
    if kind == "elementwise":
        return None if outputs is None else (len(call.input_shapes) - 1) * outputs
    if not getattr(layer, "kmap", False):
        return 0
    # |x| summed over the channels, the box filter at each position, and the product with the outputs.
    return None if None in (inputs, outputs) else inputs + positions(layer, call) * math.prod(layer.kernel_size) + outputs


def _params_by_bits(products, count):
    if not count:
        return {}
    found: Counter[int] = Counter()
    for product in products:
        found[product.weight_bits] += product.weights
    found[FULL_PRECISION] += count - found.total()
    return {bits: number for bits, number in found.items() if number}


def _trainable(layer, weights):
    trainable = {id(weight) for weight in getattr(layer, "trainable_weights", [])}
    return sum(_count(weight) for weight in weights if id(weight) in trainable)


def _count(weight):
    """Number of values of a float weight; the integers that some layers keep are state of the training."""
    is_float = "float" in str(getattr(weight.dtype, "name", weight.dtype))
    return math.prod(weight.shape) if is_float else 0
