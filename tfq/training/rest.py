"""The steps of an epoch behind those that an earlier process has trained."""

from typing import Any

import numpy as np

from tfq.backend.keras import PyDataset
from tfq.data.batches import Batches


class Rest(PyDataset):
    """`Batches` without the first ones of each epoch, in their place wherever they are given.

    Args:
        batches: the whole.
        first: the number of the first batch that is left.
    """

    def __init__(self, batches: Batches, first: int) -> None:
        super().__init__()
        self._whole = batches
        self._first = first

    def __getattr__(self, name: str) -> Any:
        """What is of no batch alone is that of the whole: images, batch size, epoch, timer."""
        if name.startswith("_"):
            raise AttributeError(name)  # else a copy that has no whole yet would ask for it for ever
        return getattr(self._whole, name)

    def __len__(self) -> int:
        return len(self._whole) - self._first

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self._whole[self._of_whole(index)]

    @property
    def num_images(self) -> int:
        """Images that are left."""
        return self._whole.num_images - self._first * self._whole.batch_size

    def seen(self, index: int) -> int:
        """Images of the rest up to this batch of it."""
        return self._whole.seen(index + self._first) - self._first * self._whole.batch_size

    def plan(self, index: int) -> Any:
        """As of the whole."""
        return self._whole.plan(self._of_whole(index))

    def _of_whole(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"there is no batch {index} in the rest of the epoch, only 0 to {len(self) - 1}")
        return index + self._first
