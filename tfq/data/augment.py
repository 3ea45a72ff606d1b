"""The usual CIFAR augmentation, drawn anew for each image: pad, crop at random, mirror half of the images."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PAD = 4


def augment(images, rng, flip):
    """Crop each image at random out of itself padded by `PAD` black pixels a side, and mirror half of them.

    As `RandomCrop(size, padding=4)` of torchvision: the padding is 0 before normalization, not the mean colour.

    Args:
        images: uint8, (N, H, W, C).
        rng: NumPy generator; it gives every image its own offsets.
        flip: whether to mirror, with probability 1/2 an image.

    Returns:
        A new array, shaped like `images`.
    """
    top, left = rng.integers(0, 2 * PAD + 1, (2, len(images)))
    cropped = crop(images, top, left)
    if flip:
        mirror(cropped, rng.random(len(images)) < 0.5)
    return cropped


def crop(images, top, left):
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
    windows = sliding_window_view(padded.reshape(count, height + 2 * PAD, -1), (height, width * channels), axis=(1, 2))
    # NumPy promises no memory order for what it has indexed, and mirror needs rows in one piece.
    return np.ascontiguousarray(windows[np.arange(count), top, left * channels]).reshape(images.shape)


def mirror(images, chosen):
    """Mirror the chosen images left to right, in place.

    Args:
        images: uint8, (N, H, W, C), in C order.
        chosen: booleans, (N,).
    """
    # A pixel as one item of C bytes is twice as fast as C items.
    pixels = images.view(f"V{images.shape[-1]}")[..., 0]
    pixels[chosen] = pixels[chosen, :, ::-1]
