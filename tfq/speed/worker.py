"""A process that keeps what it measures, so that things that exclude each other can be measured in turns."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pkgutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any


class Worker:
    """An object in a process of its own, whose methods are called there, one after the other.

    Args:
        what: where its class, or a function that gives it, is: "package.module:name". The process imports it.
        *arguments: of the class or function.
        environment: variables on top of those of this process.

    Raises:
        RuntimeError: the object could not be made; what the process said goes to standard error.
    """

    def __init__(self, what: str, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        self._what = what
        # TensorFlow has much to say when it starts; it is of interest only where the process fails.
        self._directory = tempfile.TemporaryDirectory()
        self._noise = Path(self._directory.name) / "noise.txt"
        # `spawn` starts as a command does, from nothing: TensorFlow, numba's threads and their locks do not survive a fork.
        self._process = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(self._noise, what, arguments)
        )
        with _variables({"TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}):
            self._result(_ready)

    def call(self, method: str, *arguments: object) -> Any:
        """What a method of the object gives.

        Raises:
            RuntimeError: the process has ended; what it said goes to standard error.
            Exception: whatever the method raised.
        """
        return self._result(_call, method, arguments)

    def close(self) -> None:
        """End the process."""
        self._process.shutdown()
        self._directory.cleanup()

    def _result(self, function, *arguments):
        try:
            return self._process.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            sys.stderr.write(self._noise.read_text(errors="replace") if self._noise.exists() else "")
            self.close()
            raise RuntimeError(f"the process of {self._what} ended before it answered") from error


_made: Any = None


def _begin(noise: Path, what: str, arguments: tuple) -> None:
    """What the process does first."""
    global _made
    threading.Thread(target=_end_with_parent, daemon=True).start()
    descriptor = os.open(noise, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    _made = pkgutil.resolve_name(what)(*arguments)


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for its calls for ever."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])  # type: ignore[union-attr]
    os._exit(1)


def _ready() -> None:
    """Its answer comes once `_begin` is through."""


def _call(method: str, arguments: tuple) -> object:
    return getattr(_made, method)(*arguments)


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a process that is started in the body."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
