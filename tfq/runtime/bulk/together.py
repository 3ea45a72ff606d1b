"""The parts of a job shared among this process and others."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from queue import Empty, SimpleQueue

from tfq.runtime.bulk.job import Job, Part
from tfq.runtime.bulk.part import run_part


def counts(job: Job, parts: Sequence[Part], processes: int) -> Generator[int, None, None]:
    """Do the parts, and yield how many images each was of, as they end.

    This process works too: it is there already, while the others take a second to start.

    Raises:
        BrokenProcessPool: one of the others was killed.
    """
    left = deque(parts)
    if processes == 1 or len(left) < 2:
        while left:
            yield run_part(job, left.popleft())
        return
    others = min(processes, len(left)) - 1
    with ProcessPoolExecutor(others, multiprocessing.get_context("spawn"), initializer=_end_in_time) as pool:
        try:
            yield from _shared(job, left, pool, others)
        finally:
            left.clear()
            pool.shutdown(cancel_futures=True)


def _shared(job, left, pool, others):
    """Each process takes the next part when it has done one."""
    ended: SimpleQueue[Future[int]] = SimpleQueue()
    missing = len(left)

    def start():
        part = _taken(left)
        if part is None:
            return
        try:
            pool.submit(run_part, job, part).add_done_callback(end)
        except Exception as error:  # a process was killed meanwhile, or none can be started: in a callback it would be lost
            ended.put(_failed(error))

    def end(future):
        ended.put(future)
        if not future.cancelled() and not future.exception():
            start()

    for _ in range(others):
        start()
    while missing:
        part = _taken(left)
        if part is not None:
            missing -= 1
            yield run_part(job, part)
        for future in _finished(ended, is_waiting=part is None):
            missing -= 1
            yield future.result()


def _taken(left):
    """The next part, or None."""
    try:
        return left.popleft()
    except IndexError:
        return None


def _failed(error):
    future: Future[int] = Future()
    future.set_exception(error)
    return future


def _finished(ended, is_waiting):
    """What the others have ended, of which one is waited for where nothing else is to do."""
    with contextlib.suppress(Empty):
        yield ended.get(block=is_waiting)
        while True:
            yield ended.get(block=False)


def _end_in_time():
    """Have a process end at Ctrl-C, not after the parts that wait for it, and where its parent is killed, not wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
