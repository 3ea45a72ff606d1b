"""Batches of images that do not fit memory, read ahead by grain."""

import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfq.data import streams
from tfq.data.augment import Draw, draw
from tfq.data.batches import Batches
from tfq.data.stored import StoredImages
from tfq.optional import require

_THREADS = min(4, os.cpu_count() or 1)


class StreamedBatches(Batches):
    """`Batches` of `StoredImages`: grain draws the order, and reads the next batches in threads while a step computes.

    Memory holds a few batches, whatever the number of images. The order is a function of seed and epoch, and the augmentation of
    an image one of seed, epoch and its place in `x`. So batches of another size augment it alike. It is
    not the order of `Batches`, for which all places have to be in memory.

    Args:
        x: `StoredImages`.
        y: labels, (N,).
        batch_size: images a batch.
        mean: as of `Batches`, and so are the others.
        std: see there.
        options: `crop`, `flip`, `shuffle` and `seed` of `Batches`.

    Raises:
        ValueError: as of `Batches`.
        ImportError: grain is not installed.
    """

    def __init__(
        self,
        x: StoredImages,
        y: np.ndarray,
        batch_size: int,
        mean: Sequence[float] | np.ndarray,
        std: Sequence[float] | np.ndarray,
        **options: Any,
    ) -> None:
        self._grain = require("grain")
        self._reading = threading.Lock()
        self._images = x
        super().__init__(x, y, batch_size, mean, std, **options)  # type: ignore[arg-type]

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next batches belong to."""
        places = self._grain.MapDataset.range(len(self.x))
        if self.shuffle:
            places = places.shuffle(seed=int(streams.order(self.seed, epoch).integers(2**32)))
        order = places.batch(self.batch_size)
        made = order.map(lambda chosen: (self._pixels(chosen, self._drawn(epoch, chosen)), self.y[chosen]))
        with self._reading:
            self._epoch = epoch, order
            self._stream = made, 0, None

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self._check_index(index)
        with self._timed():
            images, labels = self._next(index)
            return self._normalize(images), labels

    def _next(self, index):
        """Batch `index`, uint8, and its labels. In order it is there already; out of order reading starts anew from there."""
        with self._reading:
            made, position, iterator = self._stream
            if index != position or iterator is None:
                ahead = self._grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_THREADS + 1)
                iterator = iter(made[index:].to_iter_dataset(ahead))
            batch = next(iterator)
            self._stream = made, index + 1, iterator
        return batch

    def _read(self, places):
        return np.stack([self._images.image(place) for place in places])

    def _drawn(self, epoch, chosen):
        each = [draw(streams.image(self.seed, epoch, int(place)), 1, crop=self.crop, flip=self.flip) for place in chosen]
        return Draw(*map(np.concatenate, zip(*each, strict=True)))

    def _plan(self, index):
        self._check_index(index)
        epoch, order = self._epoch
        return order[index], self._drawn(epoch, order[index])
