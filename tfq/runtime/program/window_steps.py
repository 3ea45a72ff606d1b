"""Steps that make something of each window before it is convolved."""

from dataclasses import replace

import numpy as np

from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import scales_inputs
from tfq.runtime.plan.windows import margin
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.frames import Frame, fill_margin_with, geometry_of
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.packed import BYTES_OF_A_WORD
from tfq.runtime.program.steps import NOWHERE, At, Buffer, InputScale, PackWindows, SumWindows


def pack_windows(builder: Builder, node, frame: Frame, geometry: Geometry, words: int) -> tuple[At, int]:
    """Pack the bits of each window; gives where, (planes, height, words, width), and the width filled up to whole vectors."""
    height, width = geometry.out
    line = width + -width % LANES
    size = height * words * line
    target = Buffer(("windows", node.name), size * frame.planes)
    first = frame.first_tap(geometry)
    for plane in range(frame.planes):
        step = PackWindows(
            source=frame.behind(first.offset + plane * frame.plane), **geometry.steps, height=height, width=line, words=words,
            **geometry.kernel, channels=frame.shape[2], target=At(target, plane * size),
        )  # fmt: skip
        builder.add(node.name, "pack windows", step)
    return At(target), line


def sum_windows(builder: Builder, node, frame: Frame, geometry: Geometry) -> At:
    """Sum the bytes of each window; gives where, (height, width)."""
    height, width = geometry.out
    sums = Frame(("pixel sums", frame.name), frame.shape, frame.margin, 1)
    are_there = any(isinstance(step, SumWindows) and step.sums == sums.begin for step in builder.steps)
    target = At(Buffer(("box", node.name), height * width))
    of_sums = replace(geometry, row=sums.row, pixel=sums.pixel)
    vector = BYTES_OF_A_WORD * LANES
    channels = -(-frame.shape[2] // LANES) * LANES
    used = (np.arange(channels + -channels % vector) < frame.shape[2]) * np.uint8(255)
    step = SumWindows(
        source=frame.begin, pixels=0 if are_there else sums.plane, words=frame.pixel,
        masks=builder.constants.add(used.view("<i4")),
        chunks=used.size // vector, sums=sums.begin, **of_sums.steps, height=height, width=width, **of_sums.kernel,
        first=sums.first_tap(of_sums), target=target,
    )  # fmt: skip
    builder.add(node.name, "box", step)
    return target


def input_scale(builder: Builder, node) -> At | int:
    """Compute K, the scale of the inputs of each window, where a convolution has it; gives where, (height, width)."""
    if not scales_inputs(node):
        return NOWHERE
    source = node.inputs[0]
    height, width, channels = shape = builder.plan.shapes[source]
    frame = Frame(("magnitudes", node.name), (height, width, 1), margin(node, shape), 1)
    fill_margin_with(builder, node.name, frame, abs(node.pad_value))
    geometry = geometry_of(node, shape, frame)
    out_height, out_width = geometry.out
    target = At(Buffer(("K", node.name), out_height * out_width))
    step = InputScale(
        source=builder.tensor(source), height=height, width=width, channels=channels,
        inside=frame.inside, inside_row=frame.row, first=frame.first_tap(geometry), out_height=out_height, out_width=out_width,
        **geometry.steps, **geometry.kernel, target=target,
    )  # fmt: skip
    builder.add(node.name, "K", step)
    return target
