"""The convolutions that the benchmark measures."""

from typing import NamedTuple


class Shape(NamedTuple):
    """A convolution of stride 1 with "same" padding, on a square image: `height` is its width too."""

    height: int
    channels: int
    filters: int
    kernel: int

    @property
    def gmac(self):
        """Products of an image, in 10^9."""
        return self.height**2 * self.kernel**2 * self.channels * self.filters / 1e9

    def __str__(self):
        return f"{self.kernel}x{self.kernel}, {self.channels} to {self.filters}, {self.height}x{self.height}"


SHAPES = (
    *(Shape(32, 16, 16, 3), Shape(32, 32, 32, 3), Shape(32, 64, 64, 3)),
    *(Shape(16, 128, 128, 3), Shape(8, 256, 256, 3), Shape(8, 512, 512, 3)),
    *(Shape(32, 64, 64, 1), Shape(16, 256, 256, 1)),
)
