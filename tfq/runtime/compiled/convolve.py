"""A convolution or product of matrices: the sums of one part, and then what is folded into it."""

from tfq.runtime.compiled.call import arrays, call_results
from tfq.runtime.compiled.record import record
from tfq.runtime.compiled.tile import accumulator
from tfq.runtime.jit import njit, outermost
from tfq.runtime.lanes import LANES
from tfq.runtime.program import routines
from tfq.runtime.program.steps import DEPTHWISE, Convolve

as_convolve = record(Convolve)
results = njit(routines.results)


@njit
def parts(step):
    """Parts of a convolution, which any threads may compute in any order: some rows of windows times 32 filters each."""
    return -(-step.height // step.strip) * -(-step.vectors // step.strip_vectors)


def convolution(kind):
    """The routine of a kind of `SUMS`."""
    accumulate = accumulator(kind)

    @outermost
    def convolve(row, data, table, part, worker):
        """One of the `parts` of a `Convolve`; helpers, from 1 on, have sums of their own."""
        step, (ci, cf, mi, mf) = as_convolve(row), arrays(data)
        height, width, strip, strip_vectors = step.height, step.width, step.strip, step.strip_vectors
        # All filters of some windows come one after another, so that what they read and write beside each other is near.
        of_a_strip = -(-step.vectors // strip_vectors)
        v, top = part % of_a_strip * strip_vectors, part // of_a_strip * strip
        bottom, count = min(top + strip, height), min(strip_vectors, step.vectors - v)
        sums = step.sums + max(worker, 0) * strip * width * strip_vectors * LANES
        first, start = v * step.words * LANES, step.start + top * step.step_y
        if kind == DEPTHWISE:  # the channels of this part
            start += v * LANES
        accumulate(
            step.positions, count, ci, cf, mi, mf, start, step.step_y, step.step_x, bottom - top, width,
            step.offsets, step.ends, step.segments, step.weights + first, step.masks + first, step.words, sums,
        )  # fmt: skip
        call_results(table, results(step), (row, data, top, bottom, v, count, sums))

    return convolve


def convolution_of(transform, sums_of):
    """The routine of a kind that transforms some rows of its inputs, and then computes sums of these, some filters at a time."""

    @outermost
    def convolve(row, data, table, part, worker):
        """One of the `parts` of a `Convolve`; helpers, from 1 on, have memory of their own."""
        step, (ci, _, mi, _) = as_convolve(row), arrays(data)
        of_a_strip = -(-step.vectors // step.strip_vectors)
        begin, top = part % of_a_strip * step.strip_vectors, part // of_a_strip * step.strip
        bottom, end = min(top + step.strip, step.height), min(begin + step.strip_vectors, step.vectors)
        sums = step.sums + max(worker, 0) * step.strip * step.width * step.tile_vectors * LANES
        transform(step, mi, top, bottom, worker)
        for v in range(begin, end, step.tile_vectors):
            count = min(step.tile_vectors, end - v)
            sums_of(step, ci, mi, bottom - top, v, count, sums, worker)
            call_results(table, results(step), (row, data, top, bottom, v, count, sums))

    return convolve
