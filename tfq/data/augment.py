"""The usual CIFAR augmentation, drawn anew for each image: pad, crop at random, mirror half of the images."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PAD = 4


class Draw(NamedTuple):
    """What was drawn for each image: row and column where the crop begins in the padded image, and whether it is mirrored."""

    top: np.ndarray
    left: np.ndarray
    mirrored: np.ndarray


def draw(rng: np.random.Generator, count: int, *, crop: bool, flip: bool) -> Draw:
    """The augmentation of `count` images.

    Args:
        rng: NumPy generator; it gives every image its own offsets.
        count: number of images.
        crop: draw offsets from 0 to 2 * PAD; where False all are `PAD`, which leaves the images in their place.
        flip: mirror with probability 1/2 an image; where False none is.

    Returns:
        A `Draw` of arrays (count,).
    """
    top, left = rng.integers(0, 2 * PAD + 1, (2, count)) if crop else np.full((2, count), PAD)
    return Draw(top, left, rng.random(count) < 0.5 if flip else np.zeros(count, bool))


def augment(images: np.ndarray, drawn: Draw) -> np.ndarray:
    """Crop each image out of itself padded by `PAD` black pixels a side, and mirror it, as drawn.

    As `RandomCrop(size, padding=4)` of torchvision: the padding is 0 before normalization, not the mean colour.

    Args:
        images: uint8, (N, H, W, C).
        drawn: their `Draw`.

    Returns:
        A new array, shaped like `images`.
    """
    cropped = crop(images, drawn.top, drawn.left)
    mirror(cropped, drawn.mirrored)
    return cropped


def crop(images: np.ndarray, top: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Shift each image inside its black frame: row 0 and column 0 of the result are `top` and `left` of the padded image.

    Args:
        images: uint8, (N, H, W, C).
        top: integers 0 to 2 * PAD, (N,).
        left: the same, for columns.

    Returns:
        A new array, shaped like `images`.
    """
    count, height, width, channels = images.shape
    padded = np.zeros((count, height + 2 * PAD, width + 2 * PAD, channels), images.dtype)
    padded[:, PAD:-PAD, PAD:-PAD] = images
    # Pixels and channels as one axis: runs of width * channels bytes are copied at once.
    windows = sliding_window_view(padded.reshape(count, height + 2 * PAD, -1), (height, width * channels), axis=(1, 2))  # type: ignore[call-overload]
    # NumPy promises no memory order for what it has indexed, and mirror needs rows in one piece.
    return np.ascontiguousarray(windows[np.arange(count), top, left * channels]).reshape(images.shape)


def mirror(images: np.ndarray, chosen: np.ndarray) -> None:
    """Mirror the chosen images left to right, in place.

    Args:
        images: uint8, (N, H, W, C), in C order.
        chosen: booleans, (N,).
    """
    # A pixel as one item of C bytes is twice as fast as C items.
    pixels = images.view(f"V{images.shape[-1]}")[..., 0]
    pixels[chosen] = pixels[chosen, :, ::-1]
