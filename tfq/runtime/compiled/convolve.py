"""A convolution or product of matrices: the sums of one part, and then what is folded into it."""

from tfq.runtime.compiled.results import add_window_sums, finish, pack_results, threshold, to_float_accumulator
from tfq.runtime.compiled.tile import accumulate
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
    height, width, strip, strip_vectors = step.height, step.width, step.strip, step.strip_vectors
    strips = -(-height // strip)
    v, top = part // strips * strip_vectors, part % strips * strip
    bottom, count = min(top + strip, height), min(strip_vectors, step.vectors - v)
    sums = step.sums + max(worker, 0) * strip * width * strip_vectors * LANES
    size = count * LANES
    # The tiles stand here and not in a function of their own: each level of calls around them is compiled as a whole.
    kind, positions, start, step_y, step_x = step.kind, step.positions, step.start, step.step_y, step.step_x
    offsets, ends, segments, weights, masks = step.offsets, step.ends, step.segments, step.weights, step.masks
    words = step.words
    first = v * words * LANES
    if kind == DEPTHWISE:  # the channels of this part
        start += v * LANES
    for y in range(top, bottom):
        for begin in range(0, width, positions):
            # The last tile of a row may overlap the one before: it computes the same sums again.
            x = min(begin, width - positions)
            accumulate(
                kind, positions, count, ci, cf, mi, mf, start + y * step_y + x * step_x, step_x, offsets, ends, segments,
                weights + first, masks + first, words, sums + ((y - top) * width + x) * size,
            )  # fmt: skip
    for i in range(count):
        of_vector = sums + i * LANES
        if step.window_sums >= 0:
            add_window_sums(step, mi, top * width, bottom * width, of_vector, size)
        if step.thresholds >= 0:
            threshold(step, ci, mi, top, bottom, v + i, of_vector, size)
            continue
        if step.base >= 0:
            to_float_accumulator(step, ci, mi, mf, top, bottom, v + i, of_vector, size)
        finish(step, cf, mf, top * width, bottom * width, v + i, of_vector, size)
        if step.packed >= 0:
            pack_results(step, cf, mi, mf, top, bottom, v + i, of_vector, size)
