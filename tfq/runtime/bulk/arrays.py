"""Images in `.npy` files."""

from pathlib import Path

import numpy as np


def opened(root: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The images of a `.npy` file, uint8 (N, *shape), which stay on disk.

    Args:
        root: the folder that `name` is relative to.
        name: of the file.
        shape: that the network takes; an axis of one channel may be left out.

    Raises:
        ValueError: it holds something else, or cannot be read; one line that names it.
    """
    try:
        array = np.load(root / name, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{name} cannot be read as .npy: {error}") from error
    images = array[..., None] if array.ndim == len(shape) and shape[-1] == 1 else array
    if images.dtype != np.uint8 or images.ndim != len(shape) + 1 or images.shape[1:] != shape:
        raise ValueError(f"{name} must hold uint8 images (N, {', '.join(map(str, shape))}); got {array.dtype} {array.shape}")
    return images
