"""Images that stay on disk until they are read."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class StoredImages:
    """uint8 images (N, H, W, C) on disk, in the place of an array of them; `StreamedBatches` reads them one at a time.

    As of an array, there are `shape`, `dtype`, `ndim`, `nbytes` and `len`. A slice, or an array of places, gives `StoredImages`
    again. `np.asarray` reads them all.

    Args:
        read: gives image `index`, uint8 (H, W, C).
        count: number of images.
        image_shape: (H, W, C).
        places: of those that are meant, in their order; all by default.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        read: Callable[[int], np.ndarray],
        count: int,
        image_shape: tuple[int, ...],
        places: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        self._read = read
        self._count = count
        # A range, as long as nothing is chosen: numbers of millions of images take memory of their own.
        self._places: Any = range(count) if places is None else places
        self.image_shape = tuple(image_shape)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        return (len(self), *self.image_shape)

    @property
    def nbytes(self) -> int:
        """Bytes that they would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def image(self, index: int) -> np.ndarray:
        """Image `index`, uint8 (H, W, C)."""
        return self._read(int(self._places[index]))

    def __getitem__(self, chosen: slice | np.ndarray) -> "StoredImages":
        places = self._places[chosen] if isinstance(chosen, slice) else np.asarray(self._places)[chosen]
        return StoredImages(self._read, self._count, self.image_shape, places)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        images = np.empty(self.shape, np.uint8)
        for index in range(len(self)):
            images[index] = self.image(index)
        return images if dtype is None else images.astype(dtype)
