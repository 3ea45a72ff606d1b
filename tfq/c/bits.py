"""Convolutions and products that popcounts compute."""

from typing import Any

import numpy as np

from tfq.c.constants import NULL, Text
from tfq.c.source import WORD, Source
from tfq.c.windows import reaches_outside, windows_of
from tfq.graph import nodes as g
from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import input_bits
from tfq.runtime.program import packing

# Windows that are computed together: the largest TFQ_POSITIONS of config.h.
_POSITIONS = 8
# Channels of half a word.
_HALF = 16
# As in conv_bits.h.
_OUTSIDE_0, _OUTSIDE_1, _OUTSIDE_LEFT_OUT = 0, 1, 2


def product(source: Source, node: Any, results: Text, places: Any, over: Any) -> None:
    """Add the call of one."""
    source.need("popcount", "dot_scalar", "dot", "conv_bits")
    windows, planes = windows_of(source, node), packing.signs(node.kernel)
    signs = isinstance(node.quantizer, g.Sign)
    of_inputs, highest = input_bits(node.quantizer), node.quantizer.highest
    words = -(-int(np.prod(node.kernel.shape[:-1])) // WORD)
    input_words = -(-windows["channels"] // WORD)
    terms = [plane.positive if not signs else _nonzero(plane) for plane in planes]
    base = sum(plane.weight * term.sum(axis=(0, 1)) for plane, term in zip(planes, terms, strict=True))
    outside = _outside(node, windows)
    pairs = [
        (i, j, i + plane.weight.bit_length() - 1 + signs) for i in range(of_inputs) for j, plane in enumerate(planes)
    ]  # fmt: skip
    row = _row(windows)
    masks = None if planes[0].nonzero is None else [plane.nonzero for plane in planes]
    if masks is not None:
        source.need("masks")
    arrays = source.constants
    how = arrays.structure(
        "tfq_bits", windows=windows, filters=node.kernel.shape[-1], words=words, input_words=input_words,
        input_planes=of_inputs, plane=windows["height"] * windows["width"] * input_words, outside=outside,
        row=row, pairs=len(pairs), pair=arrays.array(pairs, "u1"),
        weights=_words(arrays, [plane.positive for plane in planes]), masks=NULL if masks is None else _words(arrays, masks),
        base=arrays.array(base if signs else base * highest, "i4"), outside_sums=outside_sums(source, node, windows),
    )  # fmt: skip
    taken = _scratch(windows, words, of_inputs, node.kernel.shape[-1], row, outside)
    scratch = source.scratch(node.name, "uint32_t", 4 * taken)
    source.call(
        node.name, "tfq_conv_bits", how, results, source.packed(source.plan.packed[node.name]), scratch, places, over=over
    )


def _row(windows):
    """Pixels of a row with its margins; 0 where the words of a row of taps do not lie side by side."""
    if (windows["channels"] % WORD and windows["channels"] != _HALF) or windows["dilation_x"] != 1:
        return 0
    return (windows["out_width"] - 1) * windows["stride_x"] + windows["kernel_width"]


def _scratch(windows, words, planes, filters, row, outside):
    """Words of memory that a convolution works in."""
    taps, height = windows["kernel_height"] * windows["kernel_width"], windows["kernel_height"]
    before = taps * filters if outside == _OUTSIDE_LEFT_OUT else 0
    if row and windows["channels"] != _HALF:
        return before + planes * height * row * (windows["channels"] // WORD)
    return before + planes * (_POSITIONS * words + height * -(-row // 2)) + bool(row)


def _nonzero(plane):
    return np.ones_like(plane.positive) if plane.nonzero is None else plane.nonzero


def _outside(node, windows):
    pad_value = getattr(node, "pad_value", 0)
    if not reaches_outside(node, windows):
        return _OUTSIDE_0
    if pad_value == 0 and isinstance(node.quantizer, g.Sign):
        return _OUTSIDE_LEFT_OUT
    return _OUTSIDE_1 if pad_value == 1 else _OUTSIDE_0


def outside_sums(source: Source, node: Any, windows: dict[str, int]) -> Text:
    """What each tap outside adds where no level stands for the value padded, (taps, filters); NULL where one does."""
    if getattr(node, "pad_value", 0) != -1 or isinstance(node.quantizer, g.Sign) or not reaches_outside(node, windows):
        return NULL
    return source.constants.array(-node.quantizer.highest * packing.integers(node.kernel).sum(axis=1), "i4")


def _words(arrays, planes):
    """Bits (taps, in, out) of some planes as words (planes, blocks, words, filters of a block)."""
    rows = [packing.words(plane, dense=True).view(np.uint32) for plane in planes]
    blocks = [row[first : first + LANES].T.reshape(-1) for row in rows for first in range(0, len(row), LANES)]
    return arrays.array(np.concatenate(blocks), "u4")
