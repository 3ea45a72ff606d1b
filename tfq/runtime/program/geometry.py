"""Where the windows of a convolution begin, and where their taps are."""

from dataclasses import dataclass

import numpy as np

from tfq.graph.shapes import Window


@dataclass(frozen=True)
class Geometry:
    """How the windows of a convolution lie in the frame of its inputs.

    Attributes:
        windows: `shapes.Window` of height and width.
        size: (height, width) of the kernel.
        strides: of the windows.
        dilations: of the taps.
        row: elements from one row of the frame to the next.
        pixel: elements from one pixel to the next.
        shape: (height, width, channels) of the inputs.
    """

    windows: tuple[Window, Window]
    size: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    row: int
    pixel: int
    shape: tuple[int, int, int]

    @property
    def out(self) -> tuple[int, int]:
        """Windows in height and in width."""
        vertical, horizontal = self.windows
        return vertical.out, horizontal.out

    @property
    def first_tap(self) -> int:
        """Elements from the first pixel that is no margin to the first tap of the first window: 0 or fewer."""
        vertical, horizontal = self.windows
        return -vertical.before * self.row - horizontal.before * self.pixel

    @property
    def taps(self) -> np.ndarray:
        """Offset of each tap from the first one, (taps,)."""
        rows = np.arange(self.size[0]) * self.dilations[0] * self.row
        columns = np.arange(self.size[1]) * self.dilations[1] * self.pixel
        return (rows[:, None] + columns).reshape(-1)

    @property
    def steps(self) -> dict[str, int]:
        """Elements from a window to the one below, and to the one beside."""
        return {"step_y": self.strides[0] * self.row, "step_x": self.strides[1] * self.pixel}

    @property
    def kernel(self) -> dict[str, int]:
        """Size of the kernel, and elements from a tap to the one below and to the one beside."""
        return {
            "kernel_height": self.size[0],
            "kernel_width": self.size[1],
            "tap_y": self.dilations[0] * self.row,
            "tap_x": self.dilations[1] * self.pixel,
        }

    def inside(self, axis: int) -> np.ndarray:
        """For each window along an axis the taps [first, last) that do not fall outside, (windows, 2)."""
        out, before, _ = self.windows[axis]
        start, step, size = np.arange(out) * self.strides[axis] - before, self.dilations[axis], self.size[axis]
        first = np.clip(-(start // step), 0, size)
        last = np.clip(-((start - self.shape[axis]) // step), first, size)
        return np.stack([first, last], axis=1)
