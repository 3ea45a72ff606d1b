"""Processes that end in time, and with the one that started them."""

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
        shared: whether they run side by side, and must not each take the whole memory of an accelerator.
    """

    def __init__(self, deadline=None, clock=time.monotonic, shared=False):
        self.deadline = deadline
        self.clock = clock
        self.shared = shared
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


def run(command, output, limits, environment):
    """Exit status of a process, which outlives neither its limits nor this process' end by a signal.

    Args:
        command: the program and its arguments.
        output: file for both of its streams.
        limits: the `Limits`.
        environment: its variables.

    Raises:
        OutOfTime: it was ended.
    """
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)
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
