"""Convolutions and products in float, of inputs as they are or quantized to whole numbers."""

from typing import Any

import numpy as np

from tfq.c.constants import Text
from tfq.c.source import Source, quantizer_code
from tfq.c.windows import windows_of
from tfq.graph import nodes as g
from tfq.graph.kernels import denominator
from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import groups
from tfq.runtime.program import packing

__all__ = ["denominator", "depthwise", "product"]

# As in sums.h.
_FLOATS, _INT8, _INT16, _SIGNS = range(4)
_WINDOWS = 4
_SUMS = {_FLOATS: "sum_floats", _INT8: "sum_int8", _INT16: "sum_int16", _SIGNS: "sum_signs"}


def product(source: Source, node: Any, results: Text, places: Any, over: Any) -> None:
    """Add the call of one, in groups or not."""
    windows, (values, _) = windows_of(source, node), packing.real(node.kernel)
    taps, channels, filters = values.shape
    of_group = filters // groups(node)
    blocks = [
        values[:, :, first : min(first + LANES, end)].reshape(taps * channels, -1)
        for end in range(of_group, filters + 1, of_group)
        for first in range(end - of_group, end, LANES)
    ]
    kind, weights = _as_signs(source, blocks) if _is_ternary(node.kernel) else _as_numbers(source, node.kernel, blocks)
    source.need("sums", _SUMS[kind], "conv_floats")
    how = source.constants.structure(
        "tfq_floats", windows=windows, filters=filters, groups=groups(node), count=taps * channels,
        quantizer=quantizer_code(node.quantizer), kind=kind, fill=_fill(node), weights=weights,
    )  # fmt: skip
    scratch = source.scratch(node.name, "float", 4 * _WINDOWS * taps * channels)
    source.call(node.name, "tfq_conv_floats", how, results, source.tensor(node.inputs[0]), scratch, places, over=over)


def depthwise(source: Source, node: Any, results: Text, places: Any, over: Any) -> None:
    """Add the call of one whose groups are the channels."""
    source.need("sums", "conv_depthwise")
    windows, (values, _) = windows_of(source, node), packing.real(node.kernel)
    kind, weights = _as_numbers(source, node.kernel, [values])
    how = source.constants.structure(
        "tfq_depthwise", windows=windows, filters=values.shape[-1], quantizer=quantizer_code(node.quantizer), kind=kind,
        fill=_fill(node), weights=weights,
    )  # fmt: skip
    source.call(node.name, "tfq_conv_depthwise", how, results, source.tensor(node.inputs[0]), places, over=over)


def _fill(node):
    return float(getattr(node, "pad_value", 0) * (1 if node.quantizer is None else node.quantizer.highest))


def _is_ternary(kernel):
    return isinstance(kernel, g.PackedKernel) and kernel.coding in ("binary", "ternary")


def _as_numbers(source, kernel, blocks):
    """The smallest type that holds the weights."""
    values = np.concatenate([block.reshape(-1) for block in blocks])
    largest = np.abs(values).max()
    if isinstance(kernel, g.FloatKernel) or largest > np.iinfo(np.int16).max:
        return _FLOATS, source.constants.array(values, "f4")
    if largest > np.iinfo(np.int8).max:
        return _INT16, source.constants.array(values, "i2")
    return _INT8, source.constants.array(values, "i1")


def _as_signs(source, blocks):
    """Two words of 16 bits for each weight of the filters of a block: which are 1, and which are -1."""
    wide = [np.pad(block, [(0, 0), (0, LANES - block.shape[1])]) for block in blocks]
    bits = np.stack([np.concatenate(wide) > 0, np.concatenate(wide) < 0], axis=1)
    return _SIGNS, source.constants.array(np.packbits(bits, axis=2, bitorder="little").reshape(-1).view("<u2"), "u2")
