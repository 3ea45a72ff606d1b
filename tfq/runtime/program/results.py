"""The numbers of a `Convolve` that say what becomes of its accumulator."""

import numpy as np

from tfq.runtime.lanes import LANES
from tfq.runtime.plan.plan import Fused
from tfq.runtime.program import threshold
from tfq.runtime.program.accumulator import Accumulator
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.steps import NOWHERE, At


def no_accumulator() -> dict[str, int]:
    """Of sums in float32, which are the results as they are."""
    return {"base": NOWHERE, "row_kinds": NOWHERE, "column_kinds": NOWHERE, "kinds": 0}


def threshold_results(builder: Builder, fused: Fused, scale: np.ndarray, total: Accumulator) -> dict[str, At | int]:
    """Bits: the sign of all that follows, as a comparison of the integer accumulator."""
    filters = fused.node.kernel.shape[-1]
    limits, flips = threshold.fold(np.broadcast_to(scale, (filters,)), _bias(fused), fused.chain, total.bound)
    flips = np.packbits(np.pad(flips, (0, -filters % LANES)), bitorder="little").view("<u2").astype(np.int32)
    unused = ("scale", "bias", "input_scale", "affine_scale", "affine_shift", "clamp", "residual", "target")
    return {
        "base": NOWHERE,
        "thresholds": builder.constants.add(_of_sums(total.base, np.pad(limits, (0, -filters % LANES)))),
        "flips": builder.constants.add(flips),
        **dict.fromkeys(unused, NOWHERE),
        "channels": filters,
        "filters": filters,
    }


def _of_sums(base, limits):
    """The largest sums whose accumulators, base - sums, reach the limits."""
    range_of_ints = np.iinfo(np.int32)
    return np.clip(base.astype(np.int64) - limits, range_of_ints.min, range_of_ints.max).astype(np.int32)


def float_results(builder: Builder, fused: Fused, scale: np.ndarray, part: slice = slice(None)) -> dict[str, At | int]:
    """Numbers in float32, of the filters `part`; `scale` is that of the accumulator, (filters,) or (1,)."""
    channels = fused.node.kernel.shape[-1]
    first, last, _ = part.indices(channels)
    filters = last - first
    target = builder.tensor(fused.result, first) if fused.result in builder.plan.needed else NOWHERE
    affine_scale, affine_shift = builder.affine(fused.affine, channels, part)
    return {
        "thresholds": NOWHERE,
        "flips": NOWHERE,
        "clamp": builder.clamp(fused.clamp),
        "scale": builder.floats(np.broadcast_to(scale, (channels,))[part], filters),
        "bias": NOWHERE if fused.node.bias is None else builder.floats(_bias(fused)[part], filters),
        "affine_scale": affine_scale,
        "affine_shift": affine_shift,
        "residual": NOWHERE if fused.residual is None else builder.tensor(fused.residual, first),
        "target": target,
        "channels": channels,
        "filters": filters,
    }


def _bias(fused):
    node = fused.node
    return np.zeros(node.kernel.shape[-1], np.float32) if node.bias is None else np.asarray(node.bias, np.float32)
