"""The fields of a `tfq_windows`."""

from typing import Any

from tfq.c.source import Source
from tfq.graph import shapes
from tfq.runtime.plan.windows import windows


def fields(
    shape: Any, kernel: Any, strides: Any, dilations: Any, vertical: shapes.Window, horizontal: shapes.Window
) -> dict[str, int]:
    """Of windows over a tensor of this shape."""
    height, width, channels = shape
    return {
        "height": height, "width": width, "channels": channels,
        "kernel_height": kernel[0], "kernel_width": kernel[1], "stride_y": strides[0], "stride_x": strides[1],
        "dilation_y": dilations[0], "dilation_x": dilations[1], "top": vertical.before, "left": horizontal.before,
        "out_height": vertical.out, "out_width": horizontal.out,
    }  # fmt: skip


def windows_of(source: Source, node: Any) -> dict[str, int]:
    """Of a convolution or product of matrices."""
    shape = source.plan.shapes[node.inputs[0]]
    (vertical, horizontal), kernel, strides, dilations = windows(node, shape)
    return fields(shapes.as_image(shape), kernel, strides, dilations, vertical, horizontal)


def reaches_outside(node: Any, field: dict[str, int]) -> bool:
    """Whether some tap of some window lies outside of the tensor."""
    last_y = (field["out_height"] - 1) * field["stride_y"] - field["top"] + (field["kernel_height"] - 1) * field["dilation_y"]
    last_x = (field["out_width"] - 1) * field["stride_x"] - field["left"] + (field["kernel_width"] - 1) * field["dilation_x"]
    return field["top"] > 0 or field["left"] > 0 or last_y >= field["height"] or last_x >= field["width"]
