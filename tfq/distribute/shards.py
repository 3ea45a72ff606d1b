"""The part of each global batch that one worker makes."""

from typing import Any

import numpy as np

from tfq.backend.keras import PyDataset
from tfq.data.augment import Draw


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
        self._part = worker, workers  # not `_workers`: there `PyDataset` keeps its number of threads

    def __getattr__(self, name: str) -> Any:
        """What is of no batch alone is that of the whole."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._batches, name)


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
        worker, workers = self._part
        rows = np.array_split(np.arange(len(places)), workers)[worker]
        part = Draw(*(each[rows] for each in drawn))
        return self._batches.images(places[rows], part), self._batches.y[places[rows]]


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
        worker, workers = self._part
        part = self._size // workers
        places = index * self._size + worker * part + np.arange(part)
        is_real = places < self.num_images
        places = np.where(is_real, places, 0)
        return self._batches.images(places), self._batches.y[places], np.where(is_real, self._weight, np.float32(0))
