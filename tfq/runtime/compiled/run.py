"""The loop over the steps of a program, alone or with threads that help.

Constants and memory come twice: as integers (`ci`, `mi`) and as float32 (`cf`, `mf`).
"""

import numpy as np

from tfq.runtime.compiled import share
from tfq.runtime.compiled.array import array
from tfq.runtime.compiled.call import ahead, call_step, call_sums
from tfq.runtime.compiled.convolve import as_convolve, parts
from tfq.runtime.compiled.elementwise import copy_floats
from tfq.runtime.compiled.pixels import decode
from tfq.runtime.jit import njit, outermost, types
from tfq.runtime.program import steps
from tfq.runtime.program.steps import NOWHERE
from tfq.runtime.tickets import LEADER

_CONVOLVE = steps.code(steps.Convolve)


@njit
def _help(rows, row_size, data, routines, state, worker):
    """Compute parts of whatever step the leader has come to, until no image has come for a while."""
    looks, last = 0, np.int64(-1)
    while share.is_waited_for(state, looks):
        looks += 1
        step = share.look(state)
        if step >= 0:
            row = ahead(rows, step * row_size)
            convolution = as_convolve(row)
            count = parts(convolution)
            begin, end = share.take(state, step, count, worker, step == last)
            if begin < end:
                looks, last = 0, step
                for part in range(begin, end):
                    call_sums(routines, convolution.kind, (row, data, routines, part, worker))
                share.done(state, end - begin)
    share.leave(state, worker)


@njit
def _convolve(row, data, routines, state, step, worker, helped):
    """Compute all parts of a convolution, alone or with whoever helps; the parts that helpers have done, from `helped` on."""
    convolution = as_convolve(row)
    count = parts(convolution)
    begin, end, own = 0, count, 0
    is_shared = worker == LEADER and count > 1
    if is_shared:
        begin, end = share.publish(state, step, count)
    while begin < end:
        for part in range(begin, end):
            call_sums(routines, convolution.kind, (row, data, routines, part, worker))
        own += end - begin
        begin = end
        if is_shared:
            begin, end = share.take(state, step, count, worker, True)
    if is_shared:
        helped += count - own
        share.wait(state, helped)
    return helped


# Arguments of `run` in machine code: addresses and numbers alone, so that no numba is needed to call it.
_ADDRESSES = {
    "rows": types.int64, "ci": types.int32, "cf": types.float32, "mi": types.uint32, "mf": types.float32, "images": types.float32,
    "pixels": types.uint8, "table": types.float32, "outputs": types.float32, "state": types.int64,
    "routines": types.int64,
}  # fmt: skip


@outermost
def run(
    rows, row_count, row_size, ci, cf, constants, mi, mf, memory, images, pixels, count, size, table, channels, source,
    outputs, results, target, target_field, state, state_size, worker, routines,
):  # fmt: skip
    """Run the program on each of `count` images of `size` numbers, read to memory at `source`, or from where they are.

    Its results, at `target` in memory, are copied to `outputs`. With a `target_field`, that number of the last row, the last step
    writes them there itself, and `target` is the position of the outputs, far from memory.
    Images are float32, or uint8 where there are `channels` of them, which `table` (channels, 256) makes float32.
    `routines` is the table of addresses that `call` reads.
    `worker` is ALONE, or there is a `share` state: LEADER, or the number of one that helps him and sees no images.
    """
    state, data = array(state, (state_size,)), (ci, cf, constants, mi, mf, memory)
    if worker > LEADER:
        _help(rows, row_size, data, routines, state, worker)
        return
    mf, pixels, outputs = array(mf, (memory,)), array(pixels, (count, size)), array(outputs, (count, results))
    program, table = array(rows, (row_count, row_size)), array(table, (channels, 256))
    helped = share.all_done(state) if worker == LEADER else 0
    for n in range(count):
        image = ahead(images, n * size)
        if channels > 0:
            decode(pixels[n], table, mf, source)
        elif source != NOWHERE:
            copy_floats(array(image, (size,)), 0, mf, source, size)
        if target_field >= 0:
            program[row_count - 1, target_field] = target + n * results
        for step in range(row_count):
            row = ahead(rows, step * row_size)
            code = as_convolve(row).code
            if code == _CONVOLVE:
                helped = _convolve(row, data, routines, state, step, worker, helped)
            else:
                call_step(routines, code, (row, data, image, size))
        if target_field < 0:
            copy_floats(mf, target, outputs[n], 0, results)
    if worker == LEADER:
        share.finish(state)


_NAMES = run.py_func.__code__.co_varnames[: run.py_func.__code__.co_argcount]
ARGUMENTS = [types.CPointer(_ADDRESSES[name]) if name in _ADDRESSES else types.intp for name in _NAMES]
