"""The threads of an engine beside the one that calls it."""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tfq.runtime import tickets
from tfq.runtime.arrays import Array, Memory

# The number of the processor that a thread runs on, where threads may be kept from one.
_processor = getattr(ctypes.CDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None


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
        # Not by `self`: a thread keeps what it began with, and the team would never be let go.
        ids = self._ids = list[int]()
        self.pool = ThreadPoolExecutor(threads - 1, initializer=lambda: ids.append(threading.get_native_id()))
        self.together = threading.Lock()
        self.state = tickets.state(threads)
        self.shared = Array(self.state)
        self.memory: Memory | None = None

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Have each helper that is not there call `function` with `args`, the state and its number."""
        absent = [helper for helper in range(1, len(self.state) - tickets.HELPERS) if not tickets.is_there(self.state, helper)]
        if absent:
            self._keep_away()
        for helper in absent:
            tickets.call(self.state, helper)
            self.pool.submit(function, *args, self.shared, helper)

    def apart(self, function: Callable[..., Any], *args: Any) -> Future:
        """Have one of the others call `function`; helpers that wait for an image are sent for."""
        if self.together.acquire(blocking=False):
            self.state[tickets.TICKET] = tickets.DISMISSED
            self.together.release()
        return self.pool.submit(function, *args)

    def _keep_away(self) -> None:
        """Have the others run on other processors than the one that calls.

        Linux wakes a thread on the processor of who calls it if no other is idle at that moment, and leaves it there for some
        milliseconds, behind the caller, even when another becomes idle at once. Where there are fewer others than threads, these
        are left alone: they would stand behind each other.
        """
        if _processor is None:
            return
        others = os.sched_getaffinity(0) - {_processor()}
        if len(others) >= len(self._ids):
            for thread in self._ids:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(thread, others)
