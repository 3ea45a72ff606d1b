"""What an export knows beside the model: real images, and how they were prepared."""

from dataclasses import dataclass

import numpy as np

# As many as TensorFlow's guide to post-training quantization takes at least.
_REPRESENTATIVE = 200


@dataclass(frozen=True)
class Sample:
    """Images as the model expects them, and what makes such images of uint8 ones.

    Args:
        images: float32 batch, or None.
        pixel_mean: per channel, of pixels scaled to [0, 1]: (C,); None where uint8 images are not taken.
        pixel_std: likewise.
        labels: names of the classes.
    """

    images: np.ndarray | None = None
    pixel_mean: np.ndarray | None = None
    pixel_std: np.ndarray | None = None
    labels: tuple = ()

    def __post_init__(self):
        if (self.pixel_mean is None) != (self.pixel_std is None):
            raise ValueError("of pixel_mean and pixel_std only one is given; an export needs both, or neither")

    @property
    def takes_uint8(self):
        """Whether uint8 images can be prepared."""
        return self.pixel_mean is not None

    def scale_and_shift(self):
        """uint8 * scale + shift is the image as the model expects it, (x / 255 - mean) / std: two float32 arrays (C,)."""
        mean, std = np.asarray(self.pixel_mean, np.float64), np.asarray(self.pixel_std, np.float64)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def prepared(self, images):
        """uint8 images as the model expects them; float32 ones as they are."""
        if images.dtype != np.uint8:
            return images
        if not self.takes_uint8:
            raise ValueError("uint8 images need pixel_mean and pixel_std, with which the training images were prepared")
        scale, shift = self.scale_and_shift()
        return images * scale + shift

    def representative(self):
        """Yields single images for a converter that measures ranges."""
        if self.images is None:
            raise ValueError("int8 needs images to measure the ranges of the activations on")
        for image in self.images[:_REPRESENTATIVE]:
            yield [image[None]]
