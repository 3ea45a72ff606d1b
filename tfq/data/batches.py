"""Batches for `model.fit`: shuffled, augmented and normalized in NumPy, the same on every backend."""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tfq.backend.keras import PyDataset
from tfq.data import streams
from tfq.data.augment import Draw, augment, draw


class Steps(Protocol):
    """The steps of an epoch: `Batches`, or what `tfq.data.feeding` makes of them."""

    def __len__(self) -> int: ...

    @property
    def num_images(self) -> int:
        """Images in an epoch."""

    def seen(self, index: int) -> int:
        """Images in the steps up to this one."""


class Batches(PyDataset):
    """Yields (float32 images, int32 labels); the last batch of an epoch may be smaller.

    Images come as (x / 255 - mean) / std. With `crop`, 4 black pixels pad each side and the original size is cropped at a place
    drawn for each image; with `flip`, half of the images are mirrored. Order and augmentation are a function of the seed,
    the epoch and the batch alone, whatever was asked for before, so that a resumed run sees what the uninterrupted one saw.
    Give `shuffle=False` to `fit` (else Keras shuffles the batches from global random state) and no `steps_per_epoch` (else an
    epoch of Keras 3 goes on where the last one stopped), and set the epoch with `tfq.callbacks.DataEpoch`.

    `seconds` counts the time spent making batches since `reset_timer`. Where Keras makes them ahead, the training step waits for
    less than that.

    Args:
        x: uint8 images, (N, H, W, C).
        y: labels, (N,).
        batch_size: images a batch.
        mean: of each channel of the pixels scaled to [0, 1], (C,).
        std: likewise the standard deviation.
        crop: whether to crop at random.
        flip: whether to mirror at random.
        shuffle: whether to draw a new order each epoch.
        seed: of order and augmentation, at least 0.

    Raises:
        ValueError: an argument does not fit; the message shows it.
    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        batch_size: int,
        mean: Sequence[float] | np.ndarray,
        std: Sequence[float] | np.ndarray,
        *,
        crop: bool = False,
        flip: bool = False,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check(x, y, batch_size, mean, std, seed)
        self.x = x
        self.y = np.asarray(y, np.int32)
        self.batch_size = batch_size
        # Repeated over a row of pixels: NumPy is several times slower where its inner loop is over 3 channels.
        mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
        self._scale = np.tile(1.0 / (255.0 * std), x.shape[2]).astype(np.float32)
        self._shift = np.tile(-mean / std, x.shape[2]).astype(np.float32)
        self.crop = crop
        self.flip = flip
        self.shuffle = shuffle
        self.seed = seed
        self.seconds = 0.0
        self._lock = threading.Lock()
        self.set_epoch(0)

    @property
    def num_images(self) -> int:
        """Images in an epoch."""
        return len(self.x)

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def seen(self, index: int) -> int:
        """Images in the batches up to this one."""
        return min((index + 1) * self.batch_size, len(self.x))

    @property
    def epoch(self) -> int:
        """The epoch that the batches belong to."""
        return self._epoch[0]

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next batches belong to."""
        total = len(self.x)
        order = streams.order(self.seed, epoch).permutation(total) if self.shuffle else np.arange(total)
        # As one, since Keras may still be making batches of the last epoch in another thread.
        self._epoch = epoch, order

    def reset_timer(self) -> None:
        """Start counting `seconds` anew."""
        with self._lock:
            self.seconds = 0.0

    def plan(self, index: int) -> tuple[np.ndarray, Draw]:
        """What batch `index` is made of: its images by their places in `x`, and what was drawn for them.

        Returns:
            The places, (n,), and the `tfq.data.augment.Draw`.
        """
        with self._timed():
            return self._plan(index)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        with self._timed():
            chosen, drawn = self._plan(index)
            return self._normalize(self._pixels(chosen, drawn)), self.y[chosen]

    def images(self, places: np.ndarray, drawn: Draw | None = None) -> np.ndarray:
        """Images as the batches hold them, float32 (n, H, W, C).

        Args:
            places: theirs in `x`, (n,).
            drawn: what `plan` has drawn for them; None for what is neither cropped nor mirrored.
        """
        with self._timed():
            return self._normalize(self._pixels(places, drawn))

    def normalized_values(self) -> np.ndarray:
        """What each value of a pixel becomes, float32 (256, C): the batches hold these very numbers."""
        values = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None, None], (256, 1, *self.x.shape[2:]))
        return self._normalize(values)[:, 0, 0]

    def _plan(self, index):
        self._check_index(index)
        epoch, order = self._epoch
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        return chosen, draw(streams.augmentation(self.seed, epoch, index), len(chosen), crop=self.crop, flip=self.flip)

    def _pixels(self, places, drawn):
        images = self._read(places)
        return augment(images, drawn) if drawn is not None and (self.crop or self.flip) else images

    def _read(self, places):
        return self.x[places]

    def _check_index(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"there is no batch {index}, only 0 to {len(self) - 1}")

    @contextlib.contextmanager
    def _timed(self):
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds += time.perf_counter() - started

    def _normalize(self, images):
        rows = images.reshape(*images.shape[:2], -1).astype(np.float32)
        rows *= self._scale
        rows += self._shift
        return rows.reshape(images.shape)


def _check(x, y, batch_size, mean, std, seed):
    if x.dtype != np.uint8 or x.ndim != 4 or not len(x):
        raise ValueError(f"images must be uint8 (N, H, W, C), at least one; got {x.dtype} {x.shape}")
    if np.shape(y) != x.shape[:1]:
        raise ValueError(f"labels must be one an image, {x.shape[:1]}; got {np.shape(y)}")
    if np.shape(mean) != x.shape[3:] or np.shape(std) != x.shape[3:]:
        raise ValueError(f"mean and std must be one a channel, {x.shape[3:]}; got {np.shape(mean)} and {np.shape(std)}")
    if batch_size < 1 or seed < 0:
        raise ValueError(f"batch_size must be at least 1 and seed at least 0; got {batch_size} and {seed}")
