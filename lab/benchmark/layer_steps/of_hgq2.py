"""Layers of HGQ2: fixed point of 2 bits, which it trains; it has no signs, no ternary values and no depthwise convolution."""

import keras
from hgq.config import QuantizerConfig
from hgq.layers import QConv2D

from lab.benchmark.layer_steps.worker import options

__all__ = ["METHODS", "keras"]


def _a2w2(layer):
    if layer["filters"] is None:
        return None
    kernel = QuantizerConfig("kbi", "weight", b0=1, i0=0)  # a sign and one bit behind the point
    inputs = QuantizerConfig("kbi", "datalane", k0=False, b0=2, i0=0)
    return [QConv2D(**options(layer), kq_conf=kernel, iq_conf=inputs)]


METHODS = {"a2w2": _a2w2}
