"""The handwritten digits that scikit-learn ships: real data without a download."""

import numpy as np

from tfq.data.dataset import Dataset, make
from tfq.files import PathLike
from tfq.optional import require
from tfq.terminal import Log

_NUM_TEST = 360


def load(data_dir: PathLike | None = None, log: Log = print) -> Dataset:
    """1,797 digits of 8x8 pixels, as 32x32x3: each pixel becomes 4x4, which keeps them as they are.

    The split into 1,437 training and 360 test images is fixed. No flip: a mirrored digit is none.
    """
    digits = require("sklearn.datasets").load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(np.kron(images, np.ones((1, 4, 4), np.uint8))[..., None], 3, axis=-1)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], digits.target[order]
    arrays = images[:-_NUM_TEST], labels[:-_NUM_TEST], images[-_NUM_TEST:], labels[-_NUM_TEST:]
    return make("digits", arrays, 10, flip=False, source="from scikit-learn")
