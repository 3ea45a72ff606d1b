"""The threads of an engine beside the one that calls it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tfq.runtime import tickets
from tfq.runtime.arrays import Array, Memory


class Team:
    """Threads of one process: a fork takes none along.

    Args:
        threads: all of them, with the one that calls.

    Attributes:
        pool: the others.
        together: who holds it may have all of them work on one image.
        state: what they share then; see `tickets`.
        shared: the state, as compiled code takes it.
        memory: that they work on then, or None so far.
    """

    def __init__(self, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads - 1)
        self.together = threading.Lock()
        self.state = tickets.state(threads)
        self.shared = Array(self.state)
        self.memory: Memory | None = None

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Have each helper that is not there call `function` with `args`, the state and its number."""
        for helper in range(1, len(self.state) - tickets.HELPERS):
            if not tickets.is_there(self.state, helper):
                tickets.call(self.state, helper)
                self.pool.submit(function, *args, self.shared, helper)

    def apart(self, function: Callable[..., Any], *args: Any) -> Future:
        """Have one of the others call `function`; helpers that wait for an image are sent for."""
        if self.together.acquire(blocking=False):
            self.state[tickets.TICKET] = tickets.DISMISSED
            self.together.release()
        return self.pool.submit(function, *args)
