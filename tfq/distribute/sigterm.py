"""The signal that a machine is about to be taken away."""

import signal
import threading
from types import FrameType
from typing import Self


class Preempted(Exception):
    """SIGTERM has ended the training; the message says where it goes on."""


class Sigterm:
    """Inside this context SIGTERM ends nothing, but is noted, for the training to stop between two steps.

    Outside of the main thread, to which Python gives signals, the context does nothing.
    """

    def __init__(self) -> None:
        self.is_received = False

    def __enter__(self) -> Self:
        self._is_watched = threading.current_thread() is threading.main_thread()
        if self._is_watched:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_watched:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_received = True
