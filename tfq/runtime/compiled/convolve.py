"""A convolution or product of matrices: the sums of one part, and then what is folded into it."""

from tfq.runtime.compiled.pairs import finish_two, takes, threshold_two
from tfq.runtime.compiled.results import finish, threshold
from tfq.runtime.compiled.tile import accumulate
from tfq.runtime.compiled.winograd import convolve_tiles
from tfq.runtime.jit import njit
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import DEPTHWISE


@njit
def parts(step):
    """Parts of a convolution, which any threads may compute in any order: some rows of windows times 32 filters each."""
    return -(-step.height // step.strip) * -(-step.vectors // step.strip_vectors)


@njit
def convolve(step, ci, cf, mi, mf, part, worker):
    """One of the `parts` of a `Convolve`; helpers, from 1 on, have sums of their own."""
    if step.columns > 0 or step.block > 0:
        convolve_tiles(step, ci, cf, mi, mf, part, worker)
        return
    height, width, strip, strip_vectors = step.height, step.width, step.strip, step.strip_vectors
    # All filters of some windows come one after another, so that what they read and write beside each other is near.
    of_a_strip = -(-step.vectors // strip_vectors)
    v, top = part % of_a_strip * strip_vectors, part // of_a_strip * strip
    bottom, count = min(top + strip, height), min(strip_vectors, step.vectors - v)
    sums = step.sums + max(worker, 0) * strip * width * strip_vectors * LANES
    first, start = v * step.words * LANES, step.start + top * step.step_y
    if step.kind == DEPTHWISE:  # the channels of this part
        start += v * LANES
    # The tiles stand here and not in a function of their own: each level of calls around them is compiled as a whole.
    accumulate(
        step.kind, step.positions, count, ci, cf, mi, mf, start, step.step_y, step.step_x, bottom - top, width,
        step.offsets, step.ends, step.segments, step.weights + first, step.masks + first, step.words, sums,
    )  # fmt: skip
    if takes(step, v, count):
        if step.thresholds >= 0:
            threshold_two(step, ci, mi, top, bottom, v, count, sums)
        else:
            finish_two(step, ci, cf, mi, mf, top, bottom, v, count, sums)
        return
    for i in range(count):
        if step.thresholds >= 0:
            threshold(step, ci, mi, top, bottom, v + i, sums + i * LANES, count * LANES)
        else:
            finish(step, ci, cf, mi, mf, top, bottom, v + i, sums + i * LANES, count * LANES)
