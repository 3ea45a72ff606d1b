"""Layers of larq, on tf_keras."""

import larq
import tf_keras as keras

from lab.benchmark.layer_steps.worker import options

__all__ = ["METHODS", "keras"]


def _layer(layer, kernel_quantizer, input_quantizer=None):
    if layer["filters"] is None:
        quantizers = {"depthwise_quantizer": kernel_quantizer, "depthwise_constraint": "weight_clip"}
        kind = larq.layers.QuantDepthwiseConv2D
    else:
        quantizers = {"kernel_quantizer": kernel_quantizer, "kernel_constraint": "weight_clip"}
        kind = larq.layers.QuantConv2D
    return [kind(**options(layer), input_quantizer=input_quantizer, **quantizers)]


def _dorefa(mode):
    return larq.quantizers.DoReFa(k_bit=2, mode=mode)


METHODS = {
    "ternary": lambda layer: _layer(layer, larq.quantizers.SteTern(ternary_weight_networks=True)),
    "xnor": lambda layer: _layer(layer, "magnitude_aware_sign", "ste_sign"),
    "dorefa_a2w2": lambda layer: _layer(layer, _dorefa("weights"), _dorefa("activations")),
}
