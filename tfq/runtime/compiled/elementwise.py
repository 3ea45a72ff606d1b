"""Operations on plain tensors, element by element."""

import numpy as np

from tfq.runtime.compiled.quantize import quantized
from tfq.runtime.compiled.vector import fill_floats, larger, load_floats, smaller, store_floats
from tfq.runtime.jit import njit
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import NO_QUANTIZER


@njit
def map_elements(step, cf, mf):
    """See `Map`."""
    source, target, pixels, channels = step.source, step.target, step.pixels, step.channels
    scale, shift, clamp, quantizer = step.scale, step.shift, step.clamp, step.quantizer
    low, high = fill_floats(np.float32(-np.inf)), fill_floats(np.float32(np.inf))
    if clamp >= 0:
        low, high = fill_floats(cf[clamp]), fill_floats(cf[clamp + 1])
    n = fill_floats(np.float32((1 << max(quantizer, 1)) - 1))
    for i in range(0, pixels * channels, channels):
        for c in range(0, channels, LANES):
            values = load_floats(mf, source + i + c)
            if scale >= 0:
                values = values * load_floats(cf, scale + c) + load_floats(cf, shift + c)
            values = smaller(high, larger(low, values))
            if quantizer != NO_QUANTIZER:
                values = quantized(values, quantizer) / n
            # What the last vector of a pixel writes too much, the next pixel overwrites.
            store_floats(mf, target + i + c, values)


@njit
def add_tensors(step, mf):
    """See `AddTensors`."""
    a, b, target = step.a, step.b, step.target
    for i in range(0, step.size, LANES):
        store_floats(mf, target + i, load_floats(mf, a + i) + load_floats(mf, b + i))


@njit
def copy_rows(step, mf):
    """See `CopyRows`."""
    source, source_step, target, target_step, size = step.source, step.source_step, step.target, step.target_step, step.size
    for block in range(step.blocks):
        read, written = source + block * step.source_block, target + block * step.target_block
        for y in range(step.rows):
            for i in range(size):
                mf[written + y * target_step + i] = mf[read + y * source_step + i]


@njit
def copy_floats(source, start, target, to, count):
    """Copy floats from one array to another, in vectors: numba's own loop over two arrays is six times slower."""
    whole = count // LANES * LANES
    for i in range(0, whole, LANES):
        store_floats(target, to + i, load_floats(source, start + i))
    for i in range(whole, count):
        target[to + i] = source[start + i]
