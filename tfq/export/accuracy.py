"""Top-1 of a model and of a file on labelled images: whether the model sees what it was trained on, and what rounding costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfq.export import verify
from tfq.export.errors import ExportError

_BATCH_SIZE = 128
# A model that guesses is taken for one that does not once in a hundred.
_CERTAINTY = NormalDist().inv_cdf(0.99)


@dataclass(frozen=True)
class Accuracy:
    """Shares of labelled images that a file and its model get right."""

    images: int
    top1: float
    model_top1: float

    @property
    def lost(self) -> float:
        """Share of the images that the file gets wrong beyond those of the model; below 0 where it gets more right."""
        return self.model_top1 - self.top1

    def __str__(self):
        change = f"{100 * abs(self.lost):.2f} points {'lost' if self.lost >= 0 else 'gained'}"
        return f"top-1 {self.top1:.2%} of {self.images:,} labelled images, the model {self.model_top1:.2%}: {change}"


def measure(
    expected: np.ndarray, predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, targets: np.ndarray
) -> Accuracy:
    """`Accuracy` of a file. Where two classes of the model tie, the file is taken to choose as the model does.

    Args:
        expected: logits of the model, (n, classes).
        predict: the function from a batch of images to logits that the file computes.
        images: float32 batch.
        targets: the right class of each image, integers (n,).
    """
    found = np.concatenate([predict(images[first : first + _BATCH_SIZE]) for first in range(0, len(images), _BATCH_SIZE)])
    right = [np.mean(classes == targets) for classes in (verify.top1(found, expected), expected.argmax(axis=1))]
    return Accuracy(len(images), *map(float, right))


def is_chance(right: float, images: int, classes: int) -> bool:
    """Whether so few right ones are no more than guessing gives: not significantly above 1/classes, at the level of 1 %."""
    mean = images / classes
    return right <= mean + _CERTAINTY * (mean * (1 - 1 / classes)) ** 0.5


def doubt(logits: np.ndarray, targets: np.ndarray) -> str | None:
    """What to say of a model whose classes are no better than chance on the images to compare on; None where they are.

    Args:
        logits: of the model, (n, classes).
        targets: the right class of each image, integers (n,).
    """
    images, classes = logits.shape
    right = top1(logits, targets)
    if classes < 2 or not is_chance(right * images, images, classes):
        return None
    return (
        f"the model itself is right on {right:.1%} of {images:,} labelled images, no better than chance among {classes} classes: "
        "are the images prepared as in its training?"
    )


def top1(logits: np.ndarray, targets: np.ndarray) -> float:
    """Share of the images whose right class has the largest logit."""
    return float(np.mean(logits.argmax(axis=1) == targets))


def check_targets(targets: Sequence[int] | np.ndarray, images: np.ndarray, classes: int) -> np.ndarray:
    """The right classes as an array; raises ExportError where they are not one an image, from 0 to below `classes`."""
    targets = np.asarray(targets)
    fits = targets.shape == (len(images),) and np.issubdtype(targets.dtype, np.integer)
    if not fits or targets.min() < 0 or targets.max() >= classes:
        span = f", {targets.min()} to {targets.max()}" if fits else ""
        raise ExportError(
            f"targets must be one integer class for each of {len(images)} images, from 0 to {classes - 1}; got {targets.shape}, "
            f"{targets.dtype}{span}"
        )
    return targets
