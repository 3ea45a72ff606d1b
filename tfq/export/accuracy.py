"""What a format that rounds costs: top-1 of its file and of the model on the same labelled images."""

from dataclasses import dataclass

import numpy as np

from tfq.export.errors import ExportError

_BATCH_SIZE = 128


@dataclass(frozen=True)
class Accuracy:
    """Shares of labelled images that a file and its model get right."""

    images: int
    top1: float
    model_top1: float

    @property
    def lost(self):
        """Share of the images that the file gets wrong beyond those of the model; below 0 where it gets more right."""
        return self.model_top1 - self.top1

    def __str__(self):
        change = f"{100 * abs(self.lost):.2f} points {'lost' if self.lost >= 0 else 'gained'}"
        return f"top-1 {self.top1:.2%} of {self.images:,} labelled images, the model {self.model_top1:.2%}: {change}"


def measure(model, predict, images, targets):
    """`Accuracy` of a file.

    Args:
        model: Keras model that gives logits.
        predict: the function from a batch of images to logits that the file computes.
        images: float32 batch.
        targets: the right class of each image, integers (n,).
    """
    expected = model.predict(images, batch_size=_BATCH_SIZE, verbose=0)
    found = [predict(images[first : first + _BATCH_SIZE]) for first in range(0, len(images), _BATCH_SIZE)]
    right = [np.mean(np.argmax(logits, axis=-1) == targets) for logits in (np.concatenate(found), expected)]
    return Accuracy(len(images), *map(float, right))


def check_targets(targets, images, classes):
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
