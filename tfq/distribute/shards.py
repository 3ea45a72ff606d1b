"""The part of each global batch that one worker makes."""

from typing import Any

import numpy as np

from tfq.backend.keras import PyDataset
from tfq.data.augment import Draw, augment


class _Shard(PyDataset):
    """What both kinds of shards make of places and draws.

    Args:
        batches: `tfq.data.Batches`, or the rest of an epoch of them.
        worker: number of this one.
        workers: how many there are.
    """

    def __init__(self, batches: Any, worker: int, workers: int) -> None:
        super().__init__()
        self._batches = batches
        self._worker = worker
        self._workers = workers
        self._values = batches.normalized_values()

    def __getattr__(self, name: str) -> Any:
        """What is of no batch alone is that of the whole."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._batches, name)

    def _images(self, places, drawn=None):
        images = self._batches.x[places]
        if drawn is not None:
            images = augment(images, drawn)
        return self._values[images, np.arange(images.shape[-1])]


class TrainingShard(_Shard):
    """(images, labels) of one worker: its rows of each whole batch, drawn and augmented as the whole batch is."""

    @property
    def num_images(self) -> int:
        """Images of all workers in an epoch."""
        return len(self) * self._batches.batch_size

    def __len__(self) -> int:
        return self._batches.num_images // self._batches.batch_size

    def seen(self, index: int) -> int:
        """Images of all workers up to this step."""
        return (index + 1) * self._batches.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        places, drawn = self._batches.plan(index)
        rows = np.array_split(np.arange(len(places)), self._workers)[self._worker]
        is_plain = not (self._batches.crop or self._batches.flip)
        part = None if is_plain else Draw(*(each[rows] for each in drawn))
        return self._images(places[rows], part), self._batches.y[places[rows]]


class TestShard(_Shard):
    """(images, labels, weights) of one worker, of parts of one size: images that fill up the last batch have weight 0.

    The others weigh as much more as makes the mean over all images that of the real ones.

    Args:
        batches: `tfq.data.Batches` of a test, in their order.
        worker: number of this one.
        workers: how many there are.
        replicas: what the size of a global batch must be a multiple of.
    """

    __test__ = False  # no test of pytest's

    def __init__(self, batches: Any, worker: int, workers: int, replicas: int) -> None:
        super().__init__(batches, worker, workers)
        self._size = -(-batches.batch_size // replicas) * replicas
        self._weight = np.float32(len(self) * self._size / batches.num_images)

    def __len__(self) -> int:
        return -(-self._batches.num_images // self._size)

    @property
    def num_images(self) -> int:
        """Images of all workers."""
        return self._batches.num_images

    def seen(self, index: int) -> int:
        """Images of all workers up to this step."""
        return min((index + 1) * self._size, self.num_images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part = self._size // self._workers
        places = index * self._size + self._worker * part + np.arange(part)
        is_real = places < self.num_images
        places = np.where(is_real, places, 0)
        return self._images(places), self._batches.y[places], np.where(is_real, self._weight, np.float32(0))
