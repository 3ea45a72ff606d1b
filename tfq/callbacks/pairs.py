"""Batches of images and labels from what `fit` takes, to go through more than once."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

_BATCH_SIZE = 128  # of whole arrays
_INFINITE = -1  # what tf.data says of a data set that repeats itself


def again(data: Any, name: str) -> Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]:
    """A function that begins a new pass over the batches in `data` each time: an iterator of (images, labels) in NumPy.

    Args:
        data: a pair of arrays (images, labels); what has a length and is indexed by the number of a batch, such as `Batches`, a
            `PyDataset` or a list of pairs; what can be iterated over again and again, such as a tf.data.Dataset; or a function
            that returns something to iterate over.
        name: what the errors call it.

    Raises:
        ValueError: it is none of these, or ends never, or can be gone through once alone.
    """
    if isinstance(data, tuple) and len(data) == 2 and all(hasattr(part, "shape") for part in data):
        return lambda: _cut(*data, name)
    if isinstance(data, Iterator):
        raise ValueError(
            f"{name} is used up after one pass, and each epoch needs one: give a function that returns {_kind(data)}"
        )
    if hasattr(data, "cardinality") and int(data.cardinality()) == _INFINITE:
        raise ValueError(f"{name} must end, since a pass over all of it is needed: take the repeat() off, or give take(n)")
    is_whole = hasattr(data, "shape") or isinstance(data, Mapping)  # of which an index or an iterator gives no batch
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not is_whole:
        return lambda: (_pair(data[index], name) for index in range(len(data)))
    if hasattr(data, "__iter__") and not is_whole:
        return lambda: (_pair(batch, name) for batch in data)
    if callable(data):
        return lambda: (_pair(batch, name) for batch in data())
    raise ValueError(
        f"{name} must be batches of (images, labels): Batches, a PyDataset, a tf.data.Dataset, a pair of arrays, or a function "
        f"that returns an iterator over batches; got {_kind(data)}"
    )


def classes(labels: np.ndarray) -> np.ndarray:
    """Numbers of the classes, (N,), of labels (N,), (N, 1) or one-hot (N, C)."""
    return np.argmax(labels, axis=-1) if labels.ndim > 1 and labels.shape[-1] > 1 else labels.reshape(-1)


def _cut(images, labels, name):
    for start in range(0, len(images), _BATCH_SIZE):
        yield _pair((images[start : start + _BATCH_SIZE], labels[start : start + _BATCH_SIZE]), name)


def _pair(batch, name):
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):  # the third are weights of the images
        raise ValueError(f"a batch of {name} must be (images, labels); got {_kind(batch)}")
    images: Any
    labels: Any
    images, labels = (np.asarray(part) for part in batch[:2]) if _are_arrays(batch[:2]) else (None, None)
    if images is None or images.shape[:1] != labels.shape[:1] or not images.shape:
        raise ValueError(f"a batch of {name} must be one array of images and one of as many labels; got {_kind(batch)}")
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"labels of {name} must be the numbers of the classes, or one-hot; got {labels.dtype}")
    return images, labels


def _are_arrays(parts):
    return all(hasattr(part, "shape") for part in parts)


def _kind(value):
    if isinstance(value, tuple | list) and value:
        return f"a {type(value).__name__} of {', '.join(_kind(item) for item in value[:3])}"
    shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
    return f"{type(value).__name__}{shape}"
