"""Convolutions and products of levels of up to 8 bits, a byte each."""

from typing import Any

from tfq.c.bits import outside_sums
from tfq.c.constants import Text
from tfq.c.source import Source
from tfq.c.windows import windows_of
from tfq.runtime.program import packing
from tfq.runtime.program.sums import needs_window_sums


def product(source: Source, node: Any, results: Text, places: Any, over: Any) -> None:
    """Add the call of one."""
    source.need("conv_bytes")
    windows, whole = windows_of(source, node), packing.integers(node.kernel)
    # Odd weights of 8 bits are 9 bits with their sign: a byte holds (w - 1) / 2.
    is_halved = needs_window_sums(node.kernel)
    weights = (whole - 1) // 2 if is_halved else whole
    taps, channels, filters = whole.shape
    how = source.constants.structure(
        "tfq_bytes", windows=windows, filters=filters, count=taps * channels,
        fill=node.quantizer.highest if getattr(node, "pad_value", 0) == 1 else 0, factor=2 if is_halved else 1,
        offset=int(is_halved), weights=source.constants.array(weights.transpose(2, 0, 1), "i1"),
        outside_sums=outside_sums(source, node, windows),
    )  # fmt: skip
    scratch = source.scratch(node.name, "uint8_t", taps * channels)
    source.call(
        node.name, "tfq_conv_bytes", how, results, source.packed(source.plan.packed[node.name]), scratch, places, over=over
    )
