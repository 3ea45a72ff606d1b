"""The user's own arrays."""

from pathlib import Path

import numpy as np

from tfq.data import cache
from tfq.data.dataset import DataError, make


def load(data_dir=None, log=print):
    """The arrays x_train, y_train, x_test, y_test of an .npz file: uint8 images (N, H, W, C), labels from 0. No flip.

    Raises:
        DataError: no such file, or arrays that are not of this form.
    """
    path = Path(data_dir or "").expanduser()
    if not path.is_file():
        raise DataError(f"{data_dir} must be an .npz file with {', '.join(cache.KEYS)}")
    arrays = cache.read_npz(path)
    for (x_name, y_name), (x, y) in zip((cache.KEYS[:2], cache.KEYS[2:]), (arrays[:2], arrays[2:]), strict=True):
        if x.dtype != np.uint8 or x.ndim != 4 or not len(x):
            raise DataError(f"{path}: {x_name} must be uint8 (N, H, W, C); got {x.dtype} {x.shape}")
        if not np.issubdtype(y.dtype, np.integer) or y.shape != x.shape[:1] or y.min() < 0:
            raise DataError(f"{path}: {y_name} must be {len(x)} whole numbers from 0; got {y.dtype} {y.shape}")
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise DataError(f"{path}: training images are {arrays[0].shape[1:]}, test images {arrays[2].shape[1:]}")
    num_classes = int(max(arrays[1].max(), arrays[3].max())) + 1
    return make("npz", arrays, num_classes, flip=False, source=f"from {path}")
