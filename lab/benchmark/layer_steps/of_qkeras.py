"""Layers of qkeras-v3, whose inputs a layer of its own quantizes."""

import keras
import qkeras

from lab.benchmark.layer_steps.worker import options

__all__ = ["METHODS", "keras"]


def _layer(layer, quantizer, inputs=None):
    if layer["filters"] is None:
        made = qkeras.QDepthwiseConv2D(**options(layer), depthwise_quantizer=quantizer)
    else:
        made = qkeras.QConv2D(**options(layer), kernel_quantizer=quantizer)
    return [made] if inputs is None else [qkeras.QActivation(inputs), made]


METHODS = {
    "ternary": lambda layer: _layer(layer, qkeras.ternary(alpha="auto")),
    "xnor": lambda layer: _layer(layer, qkeras.binary(alpha="auto"), qkeras.binary(alpha=1)),
    "dorefa_a2w2": lambda layer: _layer(layer, qkeras.quantized_bits(2, 0, alpha=1), qkeras.quantized_relu(2)),
}
