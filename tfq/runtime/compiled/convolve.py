"""A convolution or product of matrices: the sums of one part, and then what is folded into it."""

from tfq.runtime.compiled.pairs import finish_two, takes, threshold_two
from tfq.runtime.compiled.results import finish, threshold
from tfq.runtime.compiled.tile import accumulate
from tfq.runtime.compiled.winograd import convolve_tiles
from tfq.runtime.compiled.winograd_four import four_memory, four_sums, transform_rows
from tfq.runtime.compiled.winograd_square import square_sums, transform_squares
from tfq.runtime.jit import njit, woven
from tfq.runtime.lanes import LANES
from tfq.runtime.program.steps import DEPTHWISE, WINOGRAD_FOUR, WINOGRAD_SQUARE


@njit
def parts(step):
    """Parts of a convolution, which any threads may compute in any order: some rows of windows times 32 filters each."""
    return -(-step.height // step.strip) * -(-step.vectors // step.strip_vectors)


@njit
def convolve(step, ci, cf, mi, mf, part, worker):
    """One of the `parts` of a `Convolve`; helpers, from 1 on, have sums of their own."""
    if step.columns > 0:
        convolve_tiles(step, ci, cf, mi, mf, part, worker)
        return
    height, width, strip, strip_vectors = step.height, step.width, step.strip, step.strip_vectors
    # All filters of some windows come one after another, so that what they read and write beside each other is near.
    of_a_strip = -(-step.vectors // strip_vectors)
    begin, top = part % of_a_strip * strip_vectors, part // of_a_strip * strip
    bottom, end = min(top + strip, height), min(begin + strip_vectors, step.vectors)
    sums = step.sums + max(worker, 0) * strip * width * step.tile_vectors * LANES
    transformed, pitch = 0, 0
    if step.kind == WINOGRAD_FOUR:
        transformed, pitch = four_memory(step, worker)
        transform_rows(step, mi, top, bottom, transformed, pitch)
    elif step.kind == WINOGRAD_SQUARE:
        transform_squares(step, mi, top, bottom, worker)
    for v in range(begin, end, step.tile_vectors):
        count = min(step.tile_vectors, end - v)
        if step.kind == WINOGRAD_FOUR:
            for i in range(count):
                four_sums(step, ci, mi, transformed, pitch, bottom - top, v + i, count * LANES, sums + i * LANES)
        elif step.kind == WINOGRAD_SQUARE:
            square_sums(step, ci, mi, bottom - top, v, count, sums, worker)
        else:
            first, start = v * step.words * LANES, step.start + top * step.step_y
            if step.kind == DEPTHWISE:  # the channels of this part
                start += v * LANES
            # The tiles stand here and not in a function of their own: each level of calls around them is compiled as a whole.
            accumulate(
                step.kind, step.positions, count, ci, cf, mi, mf, start, step.step_y, step.step_x, bottom - top, width,
                step.offsets, step.ends, step.segments, step.weights + first, step.masks + first, step.words, sums,
            )  # fmt: skip
        _finish(step, ci, cf, mi, mf, top, bottom, v, count, sums)


@woven
def _finish(step, ci, cf, mi, mf, top, bottom, vector, count, sums):
    """What is folded into the convolution, of `count` vectors of filters."""
    if takes(step, vector, count):
        if step.thresholds >= 0:
            threshold_two(step, ci, mi, top, bottom, vector, count, sums)
        else:
            finish_two(step, ci, cf, mi, mf, top, bottom, vector, count, sums)
        return
    for i in range(count):
        if step.thresholds >= 0:
            threshold(step, ci, mi, top, bottom, vector + i, sums + i * LANES, count * LANES)
        else:
            finish(step, ci, cf, mi, mf, top, bottom, vector + i, sums + i * LANES, count * LANES)
