"""Several devices of one or more processes, on JAX."""

import contextlib
import itertools
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfq import data
from tfq.backend.keras import backend, keras
from tfq.data.on_device import Fed
from tfq.distribute.alone import DistributionError
from tfq.distribute.sharing import Sharing
from tfq.optional import require

# Until a worker that has not noticed counts as the one that is gone.
_PATIENCE_MS = 5000
# What Gloo, NCCL and the coordination service say of a worker that is gone. Other errors of JAX, such as of memory, are its own.
_GONE = re.compile(
    "Gloo|UNAVAILABLE|DEADLINE_EXCEEDED|connection (reset|closed|refused)|socket closed|remote process exited"
    "|coordination service|heartbeat|barrier",
    re.IGNORECASE,
)
_PROCESSES, _PROCESS = "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID"


class DataParallel(Sharing):
    """`keras.distribution.DataParallel` on all devices, and `keras.distribution.initialize` where its variables name a job.

    The step is one program over the global batch: statistics, scales and noise are those of one process.

    Raises:
        DistributionError: the backend is another one, on which Keras trains without distributing anything; or the job does not
            come together.
    """

    def __init__(self) -> None:
        if backend != "jax":
            raise DistributionError(f"--distribute=data_parallel needs --backend=jax; on {backend} Keras distributes nothing")
        if os.environ.get(_PROCESS) and not os.environ.get(_PROCESSES):
            raise DistributionError(f"{_PROCESS}={os.environ[_PROCESS]} is set without {_PROCESSES}, the number of processes")
        if os.environ.get(_PROCESSES):
            # Where it waits for the others no handler of Python's would be called; afterwards JAX has one of its own.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                keras.distribution.initialize()
            except (RuntimeError, ValueError) as error:
                raise DistributionError(f"keras.distribution.initialize failed: {error}") from error
        jax = require("jax")
        self.worker, self.workers, self.replicas = jax.process_index(), jax.process_count(), jax.device_count()
        self._distribution = keras.distribution.DataParallel(auto_shard_dataset=False)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where the distribution is that of Keras."""
        return self._distribution.scope()

    @contextlib.contextmanager
    def feeding(self, model: keras.Model, batches: Any, val_batches: data.Batches) -> Iterator[Fed]:
        """The shards of this process, which Keras puts together."""
        shards = self.shards(batches, val_batches)
        yield Fed(*shards, shards)

    @contextlib.contextmanager
    def preemption(self) -> Iterator[Callable[[], bool]]:
        """JAX itself watches for SIGTERM in a job of several processes, and has them agree on a step."""
        if self.workers == 1:
            with super().preemption() as is_asked:
                yield is_asked
            return
        reached = require("jax.experimental.multihost_utils").reached_preemption_sync_point
        counter = itertools.count()
        yield lambda: reached(next(counter))

    def everywhere(self, number: float) -> np.ndarray:
        """By an all-gather between two steps."""
        if self.workers == 1:
            return super().everywhere(number)
        return np.ravel(require("jax.experimental.multihost_utils").process_allgather(np.float32(number)))

    def explain(self, error: BaseException) -> str | None:
        """What the collectives say, and who it is."""
        # Where arrays are put on devices an all-gather that fails comes as a ValueError.
        is_of_jax = type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError") or "Gloo" in str(error)
        if self.workers == 1 or not is_of_jax or not _GONE.search(str(error)):
            return None
        names = " and ".join(map(str, self._missing())) or "?"
        return f"worker {names} of {self.workers} is gone: {str(error).splitlines()[0][:200]}"

    def _missing(self) -> list[int]:
        """The workers that do not come where all are to meet that have noticed; none where that is not known."""
        if self.workers == 2:
            return [1 - self.worker]
        try:
            # Not public; the one way to ask JAX who is there. It waits for the others, and names those that did not come.
            require("jax._src.distributed").global_state.client.wait_at_barrier("tfq_worker_lost", _PATIENCE_MS)
        except Exception as late:  # of a kind that is not public either
            _, _, names = str(late).partition("timed out task names")
            return sorted({int(number) for number in re.findall(r"task:(\d+)", names)})
        return []
