"""K, the scales of the inputs of XNOR-Net."""

import numpy as np

from tfq.runtime.compiled.vector import fill_floats, larger, load_floats, total
from tfq.runtime.jit import njit
from tfq.runtime.lanes import LANES


@njit
def input_scale(step, mf):
    """See `InputScale`."""
    _mean_magnitudes(mf, step.source, step.height, step.width, step.channels, step.inside, step.inside_row)
    first, step_y, apart, out_width, target = step.first, step.step_y, step.step_x, step.out_width, step.target
    kernel_height, kernel_width, tap_y, tap_x = step.kernel_height, step.kernel_width, step.tap_y, step.tap_x
    share = np.float32(1.0) / np.float32(kernel_height * kernel_width)
    for y in range(step.out_height):
        for x in range(out_width):
            magnitude = np.float32(0.0)
            for i in range(kernel_height):
                for j in range(kernel_width):
                    magnitude += mf[first + y * step_y + x * apart + i * tap_y + j * tap_x]
            mf[target + y * out_width + x] = magnitude * share


@njit
def _mean_magnitudes(mf, source, height, width, channels, inside, inside_row):
    """The mean of |x| over the channels of each pixel."""
    whole = channels // LANES * LANES
    for y in range(height):
        for x in range(width):
            pixel = source + (y * width + x) * channels
            sums = fill_floats(np.float32(0.0))
            for c in range(0, whole, LANES):
                values = load_floats(mf, pixel + c)
                sums = sums + larger(values, fill_floats(np.float32(0.0)) - values)
            magnitude = total(sums)
            for c in range(whole, channels):
                magnitude += abs(mf[pixel + c])
            mf[inside + y * inside_row + x] = magnitude / np.float32(channels)
