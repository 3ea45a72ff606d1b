"""Operations of a packed graph as layers of hls4ml."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from tfq.convert.layers import Call
from tfq.graph import kernels
from tfq.graph import nodes as g
from tfq.interop.hls4ml import types
from tfq.optional import require

# With a capital hls4ml 1.3 does not merge it with a scale and a shift in front of it, into a threshold: it rounds that down, so
# that sums between are +1, and compares the same way where the scale is below 0.
_SIGN = "Binary_tanh"
# Layers of hls4ml, each on the result of the one before.
Configs: TypeAlias = list[dict[str, Any]]


def config_of(call: Call, node: Any) -> Configs:
    """The layers of hls4ml that an operation becomes.

    Raises:
        Unsupported: there are none; the message names the layer of Keras.
    """
    match node:
        case g.ScaleShift(scale=scale, shift=shift):
            return [_scaled(scale, shift)]
        case g.Quantize(quantizer=quantizer):
            behind = _scaled(np.full(call.input_shapes[0][-1], 1 / quantizer.highest), 0)
            return [*_whole(quantizer, call.input_shapes[0]), *([] if quantizer.highest == 1 else [behind])]
        case g.ReLU(max_value=None):
            return [{"class_name": "Activation", "activation": "relu"}]
        case g.Conv2D():
            return _product(call, node, "Conv2D", _window(call, node))
        case g.Dense() if len(call.input_shapes[0]) == 1:
            n_in, n_out = node.kernel.shape
            return _product(call, node, "Dense", {"n_in": n_in, "n_out": n_out})
        case _:
            raise call.refuse(f"tfq.interop.hls4ml has no {type(node).__name__} of these arguments on {call.input_shapes[0]}")


def _whole(quantizer, shape):
    """Inputs as whole numbers: the type of the result rounds and holds them."""
    precision = types.of_inputs(quantizer)
    name = _SIGN if isinstance(quantizer, g.Sign) else "relu"
    front = [] if quantizer.highest == 1 else [_scaled(np.full(shape[-1], float(quantizer.highest)), 0)]
    return [*front, {"class_name": "Activation", "activation": name, "quantizer_precision": precision}]


def _scaled(scale, shift):
    """Times one number a channel, plus one."""
    scale = np.asarray(scale, np.float64)
    shift = np.broadcast_to(np.asarray(shift, np.float64), scale.shape)
    return {
        "class_name": "ApplyAlpha",
        "n_filt": len(scale),
        "scale_data": scale,
        "scale_precision": types.of_scale(scale),
        "bias_data": shift,
        "bias_precision": types.of_scale(shift),
    }


def _product(call, node, kind, shape):
    front = [] if node.quantizer is None else _whole(node.quantizer, call.input_shapes[0])
    main = {"class_name": kind, "data_format": "channels_last", "use_bias": False, "bias_data": None, **shape}
    if isinstance(node.kernel, g.FloatKernel):
        # The bias has a place of its own; on whole inputs a scale is behind the product in any case.
        main |= {"weight_data": node.kernel.values, "bias_data": node.bias, "use_bias": node.bias is not None}
        if node.quantizer is None:
            return [main]
        main |= {"bias_data": None, "use_bias": False}
        scale = np.ones(1)
    else:
        w = kernels.integers(node.kernel)
        main |= {"weight_data": w.astype(np.float64), "weight_quantizer": types.of_kernel(w)}
        scale = node.kernel.scale.astype(np.float64) / kernels.denominator(node.kernel)
    scale = np.broadcast_to(scale / (1 if node.quantizer is None else node.quantizer.highest), node.kernel.shape[-1:])
    return [*front, main, _scaled(scale, 0 if node.bias is None else node.bias)]


def _window(call, node):
    if node.groups != 1 or node.kmap or node.pad_value or math.prod(node.dilations) != 1:
        raise call.refuse("tfq.interop.hls4ml takes convolutions of one group, without dilation, kmap and pad_values")
    gen = require("hls4ml.converters.keras_v3.conv").gen_conv_config
    shapes = {"in_shape": call.input_shapes[0], "out_shape": call.output_shape, "ker_px_shape": node.kernel.shape[:2]}
    how = {"strides": node.strides, "padding": node.padding, "data_format": "channels_last", "name": call.name}
    return gen(**shapes, **how)
