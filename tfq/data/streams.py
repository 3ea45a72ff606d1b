"""Random numbers that are a function of the seed and of what they are for, and of no global state."""

import numpy as np

# Each purpose has its own number: without one, the seeds (s, 0) and (s, 0, 0) would give the same numbers.
_ORDER, _AUGMENT, _HOLD_OUT, _IMAGE = 1, 2, 3, 4


def order(seed: int, epoch: int) -> np.random.Generator:
    """Generator for the order of the images in an epoch."""
    return np.random.default_rng([seed, _ORDER, epoch])


def augmentation(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Generator for the crops and flips of batch `index` of an epoch."""
    return np.random.default_rng([seed, _AUGMENT, epoch, index])


def image(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Generator for the crop and flip of one image of an epoch, whichever batch it comes in."""
    return np.random.default_rng([seed, _IMAGE, epoch, index])


def hold_out(seed: int) -> np.random.Generator:
    """Generator for the split of held-out images."""
    return np.random.default_rng([seed, _HOLD_OUT])
