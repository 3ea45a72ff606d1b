"""Tensors with a margin of padding around them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfq.graph import shapes
from tfq.runtime.plan.paths import filters_a_channel, is_depthwise
from tfq.runtime.plan.windows import margin, windows
from tfq.runtime.program.builder import Builder, quantizer_code
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.steps import At, Buffer, CopyToFrame, FillMargin


@dataclass(frozen=True)
class Frame:
    """A tensor with a margin.

    Attributes:
        name: of its buffer.
        shape: (height, width, channels) without the margin.
        margin: (top, left, bottom, right), pixels.
        pixel: elements from one pixel to the next.
        planes: of bits, one behind the other; 1 for all else.
    """

    name: Any
    shape: tuple[int, int, int]
    margin: tuple[int, int, int, int]
    pixel: int
    planes: int = 1

    @property
    def row(self) -> int:
        """Elements from one row to the next."""
        _, left, _, right = self.margin
        return (left + self.shape[1] + right) * self.pixel

    @property
    def plane(self) -> int:
        """Elements from one plane to the next."""
        top, _, bottom, _ = self.margin
        return (top + self.shape[0] + bottom) * self.row

    @property
    def begin(self) -> At:
        """The first pixel."""
        return At(Buffer(self.name, self.plane * self.planes))

    @property
    def inside(self) -> At:
        """The first pixel that is no margin."""
        top, left, *_ = self.margin
        return self.behind(top * self.row + left * self.pixel)

    def behind(self, offset: int) -> At:
        """So many elements behind the first pixel."""
        return At(self.begin.buffer, offset)

    def first_tap(self, geometry: Geometry) -> At:
        """The first tap of the first window of a convolution of this frame."""
        return self.behind(self.inside.offset + geometry.first_tap)


def geometry_of(node, shape: tuple[int, ...], frame: Frame) -> Geometry:
    """How the windows of a convolution or product lie in a frame; `shape` is that of its input."""
    found, size, strides, dilations = windows(node, shape)
    return Geometry(found, size, strides, dilations, frame.row, frame.pixel, frame.shape)


def fill_margin(builder: Builder, name: str, frame: Frame, full: int, last: int) -> None:
    """Write the bits `full` to all words of a pixel but the last, `last` to that; the operation `name` needs it."""
    if not any(frame.margin):
        return
    height, width, _ = frame.shape
    top, left, bottom, right = frame.margin
    for plane in range(frame.planes):
        step = FillMargin(
            frame=frame.behind(plane * frame.plane), height=height, width=width, top=top, left=left, bottom=bottom, right=right,
            words=frame.pixel, full=full, last=last,
        )  # fmt: skip
        builder.add(name, "margin", step)


def fill_margin_with(builder: Builder, name: str, frame: Frame, value: float) -> None:
    """Write a float32 to the margin."""
    bits = int(np.float32(value).view(np.uint32))
    fill_margin(builder, name, frame, bits, bits)


def copy_to_frame(builder: Builder, name: str, path: str, source: At, frame: Frame, quantizer=None, repeat: int = 1) -> None:
    """Copy a tensor into a frame, each channel `repeat` times."""
    height, width, channels = frame.shape
    step = CopyToFrame(
        source=source, height=height, width=width, channels=channels // repeat, target=frame.inside, target_row=frame.row,
        quantizer=quantizer_code(quantizer), repeat=repeat,
    )  # fmt: skip
    builder.add(name, path, step)


def framed_input(builder: Builder, node, below: int = 0, right: int = 0) -> Frame:
    """The inputs of a convolution in float32, with a margin, or as they are where that does.

    Those of a depthwise one are as many as its filters.

    Args:
        builder: of the program.
        node: the convolution.
        below: rows that the margin has on top of what the convolution pads.
        right: columns, likewise.
    """
    source, quantizer = builder.tensor(node.inputs[0]), node.quantizer
    shape = builder.plan.shapes[node.inputs[0]]
    padding, (height, width, channels) = margin(node, shape), shapes.as_image(shape)
    padding = (*padding[:2], padding[2] + below, padding[3] + right)
    repeat = filters_a_channel(node) if is_depthwise(node) else 1
    if not any(padding) and quantizer is None and repeat == 1:
        return Frame(source.buffer.name, (height, width, channels), padding, channels)
    frame = Frame(("frame", node.name), (height, width, channels * repeat), padding, channels * repeat)
    copy_to_frame(builder, node.name, "frame", source, frame, quantizer, repeat)
    highest = 1 if quantizer is None else quantizer.highest
    # Afterwards: the last vector of a row may reach into the margin.
    fill_margin_with(builder, node.name, frame, getattr(node, "pad_value", 0) * highest)
    return frame
