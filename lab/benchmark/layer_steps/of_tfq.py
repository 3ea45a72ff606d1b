"""Layers of tfq."""

from lab.benchmark.layer_steps.worker import options
from tfq import layers
from tfq.backend.keras import keras
from tfq.quantizers import DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights

__all__ = ["METHODS", "keras"]


def _xnor(layer):
    constraint = "depthwise_constraint" if layer["filters"] is None else "kernel_constraint"
    return _layer(layer, kernel_quantizer=XnorWeights(), input_quantizer=XnorInputs(), **{constraint: "weight_clip"})


def _layer(layer, **quantizers):
    kind = layers.QuantDepthwiseConv2D if layer["filters"] is None else layers.QuantConv2D
    return [kind(**options(layer), **quantizers)]


METHODS = {
    "ternary": lambda layer: _layer(layer, kernel_quantizer=TernaryWeights()),
    "xnor": _xnor,
    "dorefa_a2w2": lambda layer: _layer(layer, kernel_quantizer=DoReFaWeights(2), input_quantizer=DoReFaInputs(2)),
}
