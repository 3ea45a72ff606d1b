"""The loop over the steps of a program, alone or with threads that help.

Constants and memory come twice: as integers (`ci`, `mi`) and as float32 (`cf`, `mf`).
"""

import numpy as np

from tfq.runtime.compiled import share
from tfq.runtime.compiled.array import array
from tfq.runtime.compiled.convolve import convolve, parts
from tfq.runtime.compiled.elementwise import add_tensors, copy_floats, copy_rows, map_elements
from tfq.runtime.compiled.input_scale import input_scale
from tfq.runtime.compiled.pack import copy_to_frame, fill_margin, pack
from tfq.runtime.compiled.pixels import decode
from tfq.runtime.compiled.pool import pool
from tfq.runtime.compiled.record import record
from tfq.runtime.compiled.tile import largest_tile
from tfq.runtime.compiled.windows import pack_windows, sum_windows
from tfq.runtime.jit import object_file, outermost, types, woven
from tfq.runtime.machine_code import MachineCode
from tfq.runtime.program import steps
from tfq.runtime.program.steps import NOWHERE
from tfq.runtime.tickets import LEADER

_FILL_MARGIN, _as_fill_margin = steps.code(steps.FillMargin), record(steps.FillMargin)
_PACK, _as_pack = steps.code(steps.Pack), record(steps.Pack)
_PACK_WINDOWS, _as_pack_windows = steps.code(steps.PackWindows), record(steps.PackWindows)
_SUM_WINDOWS, _as_sum_windows = steps.code(steps.SumWindows), record(steps.SumWindows)
_CONVOLVE, _as_convolve = steps.code(steps.Convolve), record(steps.Convolve)
_COPY_TO_FRAME, _as_copy_to_frame = steps.code(steps.CopyToFrame), record(steps.CopyToFrame)
_MAP, _as_map = steps.code(steps.Map), record(steps.Map)
_ADD_TENSORS, _as_add_tensors = steps.code(steps.AddTensors), record(steps.AddTensors)
_INPUT_SCALE, _as_input_scale = steps.code(steps.InputScale), record(steps.InputScale)
_POOL, _as_pool = steps.code(steps.Pool), record(steps.Pool)
_COPY_ROWS, _as_copy_rows = steps.code(steps.CopyRows), record(steps.CopyRows)


@woven
def _help(program, ci, cf, mi, mf, state, worker):
    """Compute parts of whatever step the leader has come to, until no image has come for a while."""
    looks, last = 0, np.int64(-1)
    while share.is_waited_for(state, looks):
        looks += 1
        step = share.look(state)
        if step >= 0:
            convolution = _as_convolve(program[step])
            count = parts(convolution)
            begin, end = share.take(state, step, count, worker, step == last)
            if begin < end:
                looks, last = 0, step
                for part in range(begin, end):
                    convolve(convolution, ci, cf, mi, mf, part, worker)
                share.done(state, end - begin)
    share.leave(state, worker)


@woven
def _convolve(row, ci, cf, mi, mf, state, step, worker, helped):
    """Compute all parts of a convolution, alone or with whoever helps; the parts that helpers have done, from `helped` on."""
    convolution = _as_convolve(row)
    count = parts(convolution)
    begin, end, own = 0, count, 0
    is_shared = worker == LEADER and count > 1
    if is_shared:
        begin, end = share.publish(state, step, count)
    # One call for both: the code of a convolution is large, and is compiled once more for each.
    while begin < end:
        for part in range(begin, end):
            convolve(convolution, ci, cf, mi, mf, part, worker)
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
}  # fmt: skip


def machine_code() -> MachineCode:
    """Compile `run`."""
    names = run.py_func.__code__.co_varnames[: run.py_func.__code__.co_argcount]
    kinds = [types.CPointer(_ADDRESSES[name]) if name in _ADDRESSES else types.intp for name in names]
    name, content = object_file(run, *kinds)
    return MachineCode(name, tuple(largest_tile()), content)


@outermost
def run(
    rows, row_count, row_size, ci, cf, constants, mi, mf, memory, images, pixels, count, size, table, channels, source,
    outputs, results, target, target_field, state, state_size, worker,
):  # fmt: skip
    """Run the program on each of `count` images of `size` numbers, read to memory at `source`, or from where they are.

    Its results, at `target` in memory, are copied to `outputs`. With a `target_field`, that number of the last row, the last step
    writes them there itself, and `target` is the position of the outputs, far from memory.
    Images are float32, or uint8 where there are `channels` of them, which `table` (channels, 256) makes float32.
    `worker` is ALONE, or there is a `share` state: LEADER, or the number of one that helps him and sees no images.
    """
    program, state = array(rows, (row_count, row_size)), array(state, (state_size,))
    ci, cf, mi, mf = array(ci, (constants,)), array(cf, (constants,)), array(mi, (memory,)), array(mf, (memory,))
    if worker > LEADER:
        _help(program, ci, cf, mi, mf, state, worker)
        return
    images, pixels, outputs = array(images, (count, size)), array(pixels, (count, size)), array(outputs, (count, results))
    table = array(table, (channels, 256))
    helped = share.all_done(state) if worker == LEADER else 0
    for n in range(count):
        if channels > 0:
            decode(pixels[n], table, mf, source)
        elif source != NOWHERE:
            copy_floats(images[n], 0, mf, source, size)
        if target_field >= 0:
            program[row_count - 1, target_field] = target + n * results
        for step in range(program.shape[0]):
            # Here and not in a function of their own, which would be compiled twice: by itself, and in this one.
            row = program[step]
            code = row[0]
            if code == _CONVOLVE:
                helped = _convolve(row, ci, cf, mi, mf, state, step, worker, helped)
            elif code == _PACK:
                packing = _as_pack(row)
                if packing.source == NOWHERE:
                    floats, at = images[n], 0
                else:
                    floats, at = mf, packing.source
                pack(packing, cf, mi, floats, at)
            elif code == _FILL_MARGIN:
                fill_margin(_as_fill_margin(row), mi)
            elif code == _PACK_WINDOWS:
                pack_windows(_as_pack_windows(row), mi)
            elif code == _SUM_WINDOWS:
                sum_windows(_as_sum_windows(row), ci, mi)
            elif code == _COPY_TO_FRAME:
                copy_to_frame(_as_copy_to_frame(row), mf)
            elif code == _MAP:
                map_elements(_as_map(row), cf, mf)
            elif code == _ADD_TENSORS:
                add_tensors(_as_add_tensors(row), mf)
            elif code == _INPUT_SCALE:
                input_scale(_as_input_scale(row), mf)
            elif code == _COPY_ROWS:
                copy_rows(_as_copy_rows(row), mf)
            elif code == _POOL:
                pool(_as_pool(row), mf)
            else:
                raise ValueError("a step that is none of the runtime's")
        if target_field < 0:
            copy_floats(mf, target, outputs[n], 0, results)
    if worker == LEADER:
        share.finish(state)
