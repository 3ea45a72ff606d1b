"""`tfq run --out=DIR`: the job that the options mean, and how far it is."""

import importlib.util
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tfq.runtime import bulk
from tfq.runtime.bulk.job import FORMATS
from tfq.runtime.warm_up import warm_up
from tfq.terminal import progress

__all__ = ["FORMATS", "run"]

_SECONDS = 10  # between two lines, where there is no terminal to show a bar in


def run(options: Namespace, engine: Any, labels: Sequence[str | None], prog: str) -> int:
    """Do the job; returns the exit status. What is not readable stands in the tables.

    Args:
        options: of the command.
        engine: of the network, which is compiled before other processes load it.
        labels: names of the classes, or None each.
        prog: the name of the command.
    """
    warm_up(engine)
    names = ("model", "images", "out", "format", "top", "resize", "threads")
    job = bulk.Job(**{name: getattr(options, name) for name in names}, labels=tuple(name for name in labels if name is not None))
    steps = bulk.run(job, options.processes)
    before, total = next(steps)
    if before:
        print(f"{prog}: goes on: {before:,} of {total:,} images are done", file=sys.stderr)
    with _shown(before, total) as say:
        failed = _follow(steps, before, say)
    print(f"{prog}: {total:,} images, in {options.out}", file=sys.stderr)
    if failed:
        print(f"{prog}: {failed:,} of them gave no result; the column `error` says why", file=sys.stderr)
    return 0


def _follow(steps: Generator[tuple[int, int], None, int], before: int, say: Callable[[int], None]) -> int:
    """Say what each step adds to the images done before; returns what a run returns."""
    while True:
        try:
            done, _ = next(steps)
        except StopIteration as end:
            return int(end.value)
        say(done - before)
        before = done


def _shown(before: int, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """A bar, or a line now and then."""
    if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
        return progress("images", total - before)
    return nullcontext(_Lines(before, total))


class _Lines:
    """Says a line every few seconds: what is done, how fast, and what time is left."""

    def __init__(self, before: int, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._start, self._done, self._total, self._clock = before, before, total, clock
        self._began = self._said = clock()

    def __call__(self, more: int) -> None:
        self._done += more
        now = self._clock()
        if now - self._said < _SECONDS:
            return
        self._said = now
        rate = (self._done - self._start) / (now - self._began)
        minutes, seconds = divmod(round((self._total - self._done) / rate), 60)
        left = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {seconds} s"
        print(f"{self._done:,} of {self._total:,} images, {rate:,.0f} a second, {left} left", file=sys.stderr, flush=True)
