"""One process on one device; the contract of the engines."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfq import data
from tfq.backend.keras import keras
from tfq.data.on_device import Fed
from tfq.distribute.sigterm import Sigterm


class DistributionError(RuntimeError):
    """The workers cannot train together; the message says why."""


class WorkerLost(DistributionError):
    """A worker is gone, and the others with it; the same command on all of them goes on."""


class Alone:
    """No distribution.

    `workers` counts the processes, `worker` is the number of this one, `replicas` counts the parts that a global batch is cut
    into.
    """

    workers = 1
    worker = 0
    replicas = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the run leaves."""
        return self.worker == 0

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Context to build and compile the model in."""
        return contextlib.nullcontext()

    def steps(self, batches: data.Batches) -> int:
        """Steps of an epoch; where batches are cut, one of fewer images at the end is left out.

        Raises:
            DistributionError: a batch cannot be cut into as many parts as there are replicas, or there is none.
        """
        if self.replicas == 1:
            return len(batches)
        size, images = batches.batch_size, batches.num_images
        if size % self.replicas:
            raise DistributionError(
                f"--batch_size={size} is that of all replicas together, and must be a multiple of their number, {self.replicas}"
            )
        if images < size:
            raise DistributionError(f"--batch_size={size} leaves no whole batch of {images} training images")
        return images // size

    def metrics(self, metrics: list[Any]) -> dict[str, list[Any]]:
        """Arguments of `compile` for the metrics."""
        return {"metrics": metrics}

    def synchronize(self, model: keras.Model) -> None:
        """Let batch normalization in training see the global batch, where the backend does not anyway."""

    def feeding(self, model: keras.Model, batches: Any, val_batches: data.Batches) -> contextlib.AbstractContextManager[Fed]:
        """As `tfq.data.feeding`, this worker's part."""
        return data.feeding(model, batches, val_batches)

    @contextlib.contextmanager
    def preemption(self) -> Iterator[Callable[[], bool]]:
        """Inside, SIGTERM ends nothing; yields the function that says whether one came, to all workers after the same step."""
        with Sigterm() as sigterm:
            yield lambda: bool(self.everywhere(sigterm.is_received).any())

    def everywhere(self, number: float) -> np.ndarray:
        """What the workers give, one or more of each; all wait for all."""
        return np.array([number])

    def check_same(self, name: str, number: int) -> None:
        """Wait for all workers.

        Raises:
            DistributionError: they give different numbers of what `name` says.
        """
        found = sorted({int(each) for each in self.everywhere(number)})
        if len(found) > 1:
            raise DistributionError(
                f"worker {self.worker} has {name} {number}, but among all there are {', '.join(map(str, found))}: "
                "give all workers the same flags, and a --run_dir on a file system that they share"
            )

    def explain(self, error: BaseException) -> str | None:
        """What an error of the backend says of a worker that is gone; None where it says no such thing."""
        return None
