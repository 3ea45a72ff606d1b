"""Processes that end in time, and with the one that started them."""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time

_KILL_AFTER = 30  # seconds from asking a process to end
_INTERRUPTED = 130
_LOOK = 0.2  # seconds between two looks at the clock


class OutOfTime(Exception):
    """The budget is spent."""


class Limits:
    """Until when processes may run.

    Args:
        deadline: in seconds of `clock`; None for no limit.
        clock: as `time.monotonic`.
        at_once: how many run side by side. They share the processors, and none may take the whole memory of an accelerator.
    """

    def __init__(self, deadline=None, clock=time.monotonic, at_once=1):
        self.deadline = deadline
        self.clock = clock
        self.shared = at_once > 1
        self.processors = queue.SimpleQueue()  # a share for each that runs
        for share in shares(at_once):
            self.processors.put(share)
        self._stopped = threading.Event()

    def stop(self):
        """No time is left from now on."""
        self._stopped.set()

    def check(self):
        """Raise `OutOfTime` where none is left."""
        if self._stopped.is_set() or (self.deadline is not None and self.clock() >= self.deadline):
            raise OutOfTime

    def wait(self):
        """Wait a moment, less where it is stopped."""
        self._stopped.wait(_LOOK)


def shares(count):
    """The processors of this process in `count` parts, as sets of their numbers; None stands for all of them.

    Two trainings on a processor each see more images than one and then the other on both: threads that wait for each other are
    what it costs to share a step. Where there are too few for that, or the system has no such shares, each gets all.
    """
    numbers = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if count == 1 or count > len(numbers):
        return [None] * count
    return [set(numbers[part * len(numbers) // count : (part + 1) * len(numbers) // count]) for part in range(count)]


def run(command, output, limits, environment):
    """Exit status of a process, which outlives neither its limits nor this process' end by a signal.

    It keeps to one share of the processors while it runs.

    Args:
        command: the program and its arguments.
        output: file for both of its streams.
        limits: the `Limits`.
        environment: its variables.

    Raises:
        OutOfTime: it was ended.
    """
    with _share(limits.processors) as processors:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)
        if processors:
            with contextlib.suppress(OSError):  # it is gone, or the processors are: it runs where it may
                os.sched_setaffinity(process.pid, processors)  # before it has threads: it has not begun to import
        return _wait(process, limits)


@contextlib.contextmanager
def _share(processors):
    share = processors.get()
    try:
        yield share
    finally:
        processors.put(share)


def _wait(process, limits):
    try:
        while process.poll() is None:
            limits.check()
            limits.wait()
        if process.returncode == _INTERRUPTED:  # Ctrl-C goes to both: this one may be about to stop as well
            limits.wait()
            limits.check()
        return process.returncode
    finally:
        _end(process)


def _end(process):
    if process.poll() is not None:
        return
    process.terminate()  # not SIGINT, which a shell's background jobs ignore; checkpoints survive a kill
    try:
        process.wait(_KILL_AFTER)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_on_sigterm():
    """Let SIGTERM end this process as Ctrl-C does, so that it ends those it started."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
