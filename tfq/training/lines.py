"""What a run prints: whole lines, and between them how far it is."""

import os
import shutil
import sys
import time
from collections.abc import Callable

# Seconds between two progress lines: on a terminal, which shows the last one only, and elsewhere, where they stay.
_ON_TERMINAL, _ELSEWHERE = 0.1, 50.0
_TO_START_OF_LINE, _CLEAR_REST = "\r", "\x1b[K"


class Lines:
    """Prints a line at once, also into a file; on a terminal it takes the place of a progress line.

    Args:
        clock: seconds, as `time.monotonic`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._printed = clock()
        self._is_open = False

    def __call__(self, line: str) -> None:
        """Print a line that stays."""
        self.clear()
        print(line, flush=True)
        self._printed = self._clock()

    def progress(self, line: str) -> None:
        """Say how far it is: on a terminal in a line that the next one replaces, elsewhere by a line about once a minute."""
        terminal = _is_terminal(sys.stdout)
        if self._clock() - self._printed < (_ON_TERMINAL if terminal else _ELSEWHERE):
            return
        if not terminal:
            self(line)
            return
        width = shutil.get_terminal_size().columns - 1  # a longer one would go on in the next line, and stay there
        print(_TO_START_OF_LINE + line[:width] + _CLEAR_REST, end="", flush=True)
        self._is_open, self._printed = True, self._clock()

    def clear(self) -> None:
        """Take the progress line off the terminal."""
        if self._is_open:
            print(_TO_START_OF_LINE + _CLEAR_REST, end="", flush=True)
            self._is_open = False


def duration(seconds: float) -> str:
    """A time as one says it: `16 s`, `3 min 20 s`, `2 h 5 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return _two(*divmod(seconds, 60), "min", "s")
    return _two(*divmod(round(seconds / 60), 60), "h", "min")


def _two(many, few, unit, small_unit):
    return f"{many} {unit}" + (f" {few} {small_unit}" if few else "")


def _is_terminal(stream):
    return stream.isatty() and os.environ.get("TERM") != "dumb"
