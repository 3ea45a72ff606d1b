"""The routines as functions, by their names, and how they are compiled: see `program.routines`."""

from tfq.runtime.compiled import call
from tfq.runtime.compiled.along_columns import convolve_along_columns
from tfq.runtime.compiled.array import array
from tfq.runtime.compiled.call import arrays
from tfq.runtime.compiled.convolve import convolution, convolution_of
from tfq.runtime.compiled.elementwise import add_tensors, copy_rows, map_elements
from tfq.runtime.compiled.input_scale import input_scale
from tfq.runtime.compiled.pack import copy_to_frame, fill_margin, pack
from tfq.runtime.compiled.pairs import results_of
from tfq.runtime.compiled.pool import pool
from tfq.runtime.compiled.record import record
from tfq.runtime.compiled.run import ARGUMENTS, run
from tfq.runtime.compiled.tile import largest_tile
from tfq.runtime.compiled.windows import pack_windows, sum_windows
from tfq.runtime.compiled.winograd import convolution_on_tiles
from tfq.runtime.compiled.winograd_four import sums_of_fours, transform_fours
from tfq.runtime.compiled.winograd_square import square_sums, transform_squares
from tfq.runtime.jit import object_file, outermost
from tfq.runtime.machine_code import MachineCode
from tfq.runtime.program import routines, steps
from tfq.runtime.program.steps import NOWHERE

_as_pack, _as_map, _as_sum_windows = record(steps.Pack), record(steps.Map), record(steps.SumWindows)


def _on_words(kind, function):
    """The routine of a kind of step that works on memory as integers alone."""
    read = record(kind)

    @outermost
    def routine(row, data, image, size):
        _, _, mi, _ = arrays(data)
        function(read(row), mi)

    return routine


def _on_floats(kind, function):
    """The routine of a kind of step that works on memory as floats alone."""
    read = record(kind)

    @outermost
    def routine(row, data, image, size):
        _, _, _, mf = arrays(data)
        function(read(row), mf)

    return routine


@outermost
def _pack(row, data, image, size):
    _, cf, mi, mf = arrays(data)
    packing = _as_pack(row)
    if packing.source == NOWHERE:
        floats, at = array(image, (size,)), 0
    else:
        floats, at = mf, packing.source
    pack(packing, cf, mi, floats, at)


@outermost
def _sum_windows(row, data, image, size):
    ci, _, mi, _ = arrays(data)
    sum_windows(_as_sum_windows(row), ci, mi)


@outermost
def _map(row, data, image, size):
    _, cf, _, mf = arrays(data)
    map_elements(_as_map(row), cf, mf)


_OF_STEPS = {
    steps.Pack: _pack,
    steps.SumWindows: _sum_windows,
    steps.Map: _map,
    **{
        kind: _on_words(kind, function) for kind, function in ((steps.FillMargin, fill_margin), (steps.PackWindows, pack_windows))
    },
    **{
        kind: _on_floats(kind, function)
        for kind, function in (
            (steps.CopyToFrame, copy_to_frame),
            (steps.AddTensors, add_tensors),
            (steps.InputScale, input_scale),
            (steps.Pool, pool),
            (steps.CopyRows, copy_rows),
        )
    },
}


def _function(name):
    """A routine, or the loop, and the types of its arguments."""
    if name == routines.LOOP:
        return run, ARGUMENTS
    if name in routines.OF_SUMS.names:
        return _sums(routines.OF_SUMS.names.index(name)), call.SUMS
    if name in routines.OF_RESULTS.names:
        return results_of(routines.OF_RESULTS.names.index(name)), call.RESULTS
    return _OF_STEPS[steps.STEPS[routines.OF_STEPS.names.index(name)]], call.STEP


def _sums(kind):
    match kind:
        case steps.WINOGRAD | steps.WINOGRAD_BYTES:
            return convolution_on_tiles(kind)
        case steps.WINOGRAD_FOUR:
            return convolution_of(transform_fours, sums_of_fours)
        case steps.WINOGRAD_SQUARE:
            return convolution_of(transform_squares, square_sums)
        case steps.ALONG_COLUMNS:
            return convolve_along_columns
        case _:
            return convolution(kind)


def machine_code(name: str) -> MachineCode:
    """Compile a routine, or the loop."""
    function, arguments = _function(name)
    symbol, content = object_file(function, *arguments)
    return MachineCode(symbol, tuple(largest_tile()), content)
