"""Maximum and mean of windows."""

import numpy as np

from tfq.runtime.compiled.vector import fill_floats, larger, load_floats, store_floats
from tfq.runtime.jit import njit
from tfq.runtime.lanes import LANES


@njit
def pool(step, mf):
    """See `Pool`."""
    source, height, width, channels, target = step.source, step.height, step.width, step.channels, step.target
    pool_height, pool_width, stride_y, stride_x = step.pool_height, step.pool_width, step.stride_y, step.stride_x
    top, left, out_width = step.top, step.left, step.out_width
    mean = step.mean != 0
    for y in range(step.out_height):
        for x in range(out_width):
            first_y, last_y = max(y * stride_y - top, 0), min(y * stride_y - top + pool_height, height)
            first_x, last_x = max(x * stride_x - left, 0), min(x * stride_x - left + pool_width, width)
            to = target + (y * out_width + x) * channels
            count = fill_floats(np.float32((last_y - first_y) * (last_x - first_x)))
            for c in range(0, channels, LANES):
                result = fill_floats(np.float32(0.0) if mean else np.float32(-np.inf))
                for i in range(first_y, last_y):
                    for j in range(first_x, last_x):
                        values = load_floats(mf, source + (i * width + j) * channels + c)
                        result = result + values if mean else larger(result, values)
                if mean:
                    result = result / count
                store_floats(mf, to + c, result)
