"""Labels of the user as the class of each image, and what is to be said of classes without images."""

from typing import Any

import numpy as np

from tfq.data.dataset import Dataset
from tfq.data.errors import DataError

_MOST = 2**20 - 1  # the highest label: of more classes there is no network here, but memory is taken for each
_SHOWN = 10


def of_labels(source: object, name: str, labels: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """The class of each image, and the number of classes that the labels themselves name.

    Args:
        source: what they are from, for messages.
        name: of the array, likewise.
        labels: (N,) or (N, 1): integers, booleans, or floats that are whole; or one-hot (N, classes).
        count: number of images.

    Returns:
        int32 (N,), and the columns of one-hot labels, or the highest class + 1.

    Raises:
        DataError: they are none of these, or not one an image.
    """
    if labels.dtype.kind not in "buif":
        how = "; of names, np.unique(y, return_inverse=True) makes classes" if labels.dtype.kind in "SU" else ""
        raise DataError(f"{source}: {name} must be numbers of classes from 0; got {labels.dtype}{how}")
    if labels.ndim not in (1, 2) or len(labels) != count or not labels.size:
        raise DataError(
            f"{source}: {name} must be {count} labels, one an image: ({count},), ({count}, 1), or one-hot ({count}, classes); "
            f"got {labels.shape}"
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        return _of_one_hot(source, name, labels), labels.shape[1]
    labels = labels.ravel()
    wrong: Any = labels[~((labels >= 0) & (labels <= _MOST) & (labels == np.floor(labels)))] if labels.dtype.kind != "b" else ()
    if len(wrong):
        how = "; of other numbers, np.unique(y, return_inverse=True) makes classes" if wrong[0] > _MOST else ""
        raise DataError(f"{source}: {name} must be whole numbers from 0 to {_MOST}; got {wrong[0]:g}{how}")
    return labels.astype(np.int32), int(labels.max()) + 1


def _of_one_hot(source, name, labels):
    wrong = np.flatnonzero(((labels == 1).sum(axis=1) != 1) | ((labels != 0).sum(axis=1) != 1))
    if len(wrong):
        raise DataError(
            f"{source}: {name} {labels.shape} must have a single 1 a row, and 0 else; row {wrong[0]} has not. "
            f"An image is of one class: of shares, give {name}.argmax(axis=1)"
        )
    return labels.argmax(axis=1).astype(np.int32)


def remarks(dataset: Dataset) -> list[str]:
    """Lines on classes that lack images: to train on, to test on, or both. Labels stay as they are, whatever is said.

    Args:
        dataset: the `Dataset`.
    """
    counts = [np.bincount(labels, minlength=dataset.num_classes) for labels in (dataset.y_train, dataset.y_test)]
    in_train, in_test = (count > 0 for count in counts)
    total = dataset.num_classes
    lines = []
    for missing, what in (
        (~in_train & ~in_test, f"has no images; the network gets an output for each of 0 to {total - 1} all the same"),
        (~in_train & in_test, "has test images, but no training image: it cannot be learnt"),
        (in_train & ~in_test, "has training images, but no test image: it is not tested"),
    ):
        if missing.any():
            lines.append(f"WARNING: {dataset.name}: {_listed(np.flatnonzero(missing), dataset.labels)} {what}")
    if total == 1:
        lines.append(f"WARNING: {dataset.name}: all images are of one class: there is nothing to learn")
    if total > 1 and not in_train[0] and not in_test[0] and (in_train | in_test)[1:].all() and not dataset.labels:
        lines[0] += "; if labels are meant to begin at 1, subtract 1 from them"
    return lines


def _listed(classes, labels):
    named = [f"{index} ({labels[index]})" if labels else str(index) for index in classes]
    text = ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else "")
    return f"class {text}" if len(named) == 1 else f"each of the classes {text}"
