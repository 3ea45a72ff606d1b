"""The steps of a convolution or product of matrices, by the arithmetic that the plan chose."""

from dataclasses import dataclass

import numpy as np

from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import groups, input_bits, is_depthwise, kernel_planes, on_bits, on_bytes, on_tiles
from tfq.runtime.plan.plan import Fused
from tfq.runtime.plan.windows import windows
from tfq.runtime.program import packing
from tfq.runtime.program.accumulator import accumulator, kernel_scale
from tfq.runtime.program.along_columns import column_numbers, extra_rows, is_along_columns
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.frames import framed_input, geometry_of
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.packed import BYTES_OF_A_WORD, fill_packed, pack_tensor, packed_frame, packing_numbers
from tfq.runtime.program.results import float_results, no_accumulator, threshold_results
from tfq.runtime.program.steps import (
    NOWHERE,
    POSITIONS,
    POSITIONS_OF_TWO_BITS,
    TWO_BITS,
    VECTORS,
    WINOGRAD_BYTES,
    WINOGRAD_FOUR,
    WINOGRAD_SQUARE,
    At,
    Buffer,
    Convolve,
)
from tfq.runtime.program.sums import (
    Sums,
    are_two_bits,
    bit_sums,
    byte_sums,
    depthwise_sums,
    float_sums,
    needs_window_sums,
    two_bit_sums,
    window_words,
)
from tfq.runtime.program.window_steps import input_scale, pack_windows, sum_windows
from tfq.runtime.program.winograd import has_enough_tiles, tile_numbers, winograd_byte_sums, winograd_sums
from tfq.runtime.program.winograd_four import four_numbers, four_sums
from tfq.runtime.program.winograd_square import square_numbers, square_sums

_STRIP = 64  # windows whose sums, 8 KiB of them, are finished together
_WINOGRAD = {WINOGRAD_BYTES: tile_numbers, WINOGRAD_FOUR: four_numbers, WINOGRAD_SQUARE: square_numbers}


@dataclass(frozen=True)
class _Inputs:
    """What a convolution reads: where its first window begins, elements to the one below and beside, and the constants."""

    start: At
    step_y: int
    step_x: int
    sums: Sums
    window_sums: At | int = NOWHERE


def add_product(builder: Builder, fused: Fused) -> None:
    """Add the steps of a convolution or product, and those that pack its result for others."""
    if fused.packed is not None:
        fill_packed(builder, fused.packed)
    if on_bits(fused.node):
        path = _on_bits(builder, fused)
    elif on_bytes(fused.node):
        path = _on_bytes(builder, fused)
    else:
        path = _in_float(builder, fused)
    if not getattr(fused.node, "is_empty", False):
        builder.add_path(fused.node.name, path)
    if fused.chain is None:
        pack_tensor(builder, fused.result, but=fused.packed)


def _on_bits(builder, fused):
    node = fused.node
    frame = packed_frame(builder, builder.plan.packed[node.name])
    geometry = geometry_of(node, builder.plan.shapes[node.inputs[0]], frame)
    dense = window_words(node.kernel)
    # Three counts of a window and a vector need registers that only the wide tile has, and there is no tile of one window.
    has_tile = builder.tile.vectors > 1 and geometry.out[1] >= min(POSITIONS_OF_TWO_BITS)
    counted = two_bit_sums if are_two_bits(node) and has_tile else bit_sums
    path = f"{input_bits(node.quantizer)}x{kernel_planes(node.kernel)} bits, popcount"
    if dense is None:
        words = (geometry.taps[:, None] + np.arange(frame.pixel)).reshape(-1)
        inputs = _Inputs(frame.first_tap(geometry), **geometry.steps, sums=counted(node, words, frame.plane))
    else:
        path += ", windows packed"
        start, line = pack_windows(builder, node, frame, geometry, dense)
        sums = counted(node, np.arange(dense) * line, geometry.out[0] * dense * line)
        inputs = _Inputs(start, step_y=dense * line, step_x=1, sums=sums)
    path += "" if inputs.sums.masks is None else f", {node.kernel.coding}"
    return _on_integers(builder, fused, path, geometry, inputs)


def _on_bytes(builder, fused):
    node = fused.node
    frame = packed_frame(builder, builder.plan.packed[node.name])
    geometry = geometry_of(node, builder.plan.shapes[node.inputs[0]], frame)
    path = f"{node.quantizer.bits}x{kernel_planes(node.kernel)} bits, int8"
    by_winograd = four_sums(builder, node) or winograd_byte_sums(builder, node) or square_sums(builder, node)
    if by_winograd is not None:
        inputs = _Inputs(frame.first_tap(geometry), **geometry.steps, sums=by_winograd)
        return _on_integers(builder, fused, f"{path}, Winograd", geometry, inputs)
    words = np.arange(-(-frame.shape[2] // BYTES_OF_A_WORD))
    sums = byte_sums(node, (geometry.taps[:, None] + words).reshape(-1))
    window_sums = sum_windows(builder, node, frame, geometry) if needs_window_sums(node.kernel) else NOWHERE
    inputs = _Inputs(frame.first_tap(geometry), **geometry.steps, sums=sums, window_sums=window_sums)
    return _on_integers(builder, fused, path, geometry, inputs)


def _on_integers(builder, fused, path, geometry, inputs):
    node = fused.node
    total = accumulator(node, geometry, builder.plan.packed[node.name].fill)
    numbers = {
        "row_kinds": builder.constants.add(total.rows),
        "column_kinds": builder.constants.add(total.columns),
        "kinds": total.base.shape[1],
    }
    scale, tiles = kernel_scale(node), {}
    if inputs.sums.kind in _WINOGRAD:
        tiles = _WINOGRAD[inputs.sums.kind](builder, geometry, inputs.sums, int(node.quantizer.highest))
    if fused.chain is None:
        numbers["base"] = builder.constants.add(total.base)
        numbers["input_scale"] = input_scale(builder, node)
        numbers |= _convolution(builder, geometry, inputs) | tiles
        numbers |= float_results(builder, fused, scale)
    else:
        path += ", threshold"
        numbers |= _convolution(builder, geometry, inputs) | tiles
        numbers |= threshold_results(builder, fused, scale, total)
    numbers |= packing_numbers(builder, fused.packed)
    builder.add(node.name, path, Convolve(**numbers))
    return path


def _in_float(builder, fused):
    node = fused.node
    if on_tiles(node) and has_enough_tiles(builder, node):
        return _on_tiles(builder, fused)
    shape = builder.plan.shapes[node.inputs[0]]
    out = tuple(window.out for window in windows(node, shape)[0])
    along_columns = is_along_columns(fused, out)
    frame = framed_input(builder, node, below=extra_rows(out[0]) if along_columns else 0)
    geometry = geometry_of(node, shape, frame)
    values, scale = packing.real(node.kernel)
    if node.quantizer is not None:
        scale = scale / np.float32(node.quantizer.highest)
    k = input_scale(builder, node)
    path = "float32, depthwise" if is_depthwise(node) else "float32, Winograd" if along_columns else "float32"
    for part, sums in _float_parts(node, values, geometry):
        inputs = _Inputs(frame.first_tap(geometry), **geometry.steps, sums=sums)
        numbers = {
            **no_accumulator(),
            "input_scale": k,
            **_convolution(builder, geometry, inputs),
            **(column_numbers(builder, node, geometry) if along_columns else {}),
            **float_results(builder, fused, scale, part),
            **packing_numbers(builder, fused.packed),
        }
        builder.add(node.name, path, Convolve(**numbers))  # type: ignore[arg-type]
    return path


def _on_tiles(builder, fused):
    """A 3x3 convolution by Winograd's F(2x2, 3x3)."""
    node = fused.node
    shape = builder.plan.shapes[node.inputs[0]]
    height, width = (window.out for window in windows(node, shape)[0])
    # Of an odd number of windows the last tile is half empty.
    frame = framed_input(builder, node, height % 2, width % 2)
    geometry = geometry_of(node, shape, frame)
    values, scale = packing.real(node.kernel)
    if node.quantizer is not None:
        scale = scale / np.float32(node.quantizer.highest)
    inputs = _Inputs(frame.first_tap(geometry), **geometry.steps, sums=winograd_sums(values))
    numbers = {
        **no_accumulator(),
        "input_scale": input_scale(builder, node),
        **_convolution(builder, geometry, inputs),
        **tile_numbers(builder, geometry, inputs.sums),
        **float_results(builder, fused, scale),
        **packing_numbers(builder, fused.packed),
    }
    path = "float32, Winograd"
    builder.add(node.name, path, Convolve(**numbers))  # type: ignore[arg-type]
    return path


def _float_parts(node, values, geometry):
    """The filters of each step, and their sums: one step a group, or one for all channels of a depthwise convolution."""
    if is_depthwise(node):
        yield slice(None), depthwise_sums(values, geometry)
        return
    filters = values.shape[2] // groups(node)
    for group in range(groups(node)):
        part = slice(group * filters, (group + 1) * filters)
        yield part, float_sums(values[:, :, part], geometry, group * values.shape[1])


def _convolution(builder: Builder, geometry: Geometry, inputs: _Inputs) -> dict[str, At | int]:
    """The numbers of a `Convolve` that its sums need."""
    height, width = geometry.out
    sums, constants = inputs.sums, builder.constants
    *_, vectors, words, _ = sums.weights.shape
    weights = constants.add(sums.weights)
    # Rows are taken together until there are enough windows to make up for the calls.
    strip = min(height, max(1, _STRIP // width))
    choices: tuple[int, ...] = POSITIONS
    positions = builder.tile.positions
    if sums.kind == TWO_BITS:
        # Measured: 2 x 2 windows and vectors are 7 % faster than 4 x 2, and 8 x 1 no slower than 4 x 1.
        choices, positions = POSITIONS_OF_TWO_BITS, positions if vectors == 1 else 2
    return {
        "kind": sums.kind,
        "positions": next(count for count in choices if count <= min(width, positions)),
        "height": height,
        "width": width,
        "vectors": vectors,
        "start": inputs.start,
        "step_y": inputs.step_y,
        "step_x": inputs.step_x,
        "weights": weights,
        "masks": weights if sums.masks is None else constants.add(sums.masks),
        "offsets": constants.add(sums.offsets),
        "ends": constants.add(sums.ends),
        "segments": len(sums.ends) - 1,
        "words": words,
        "shift": sums.shift,
        "sums": At(Buffer("sums", builder.threads * strip * width * max(VECTORS) * LANES)),
        "strip": strip,
        "strip_vectors": builder.tile.vectors,
        "window_sums": inputs.window_sums,
        "columns": 0,
        "tile_vectors": builder.tile.vectors,
        "transformed": NOWHERE,
        "highest": 0,
        "surplus": NOWHERE,
        "block": 0,
        **dict.fromkeys(("combined", "line", "line_words", "line_ends", "line_weights", "factors"), NOWHERE),
    }
