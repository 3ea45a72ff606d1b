"""Types of arguments for the commands, so that a slip is said before any work. Imports nothing but the standard library."""

import argparse
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from tfq import optional

MOST_THREADS = 256
# What matplotlib writes without further packages.
_PICTURES = (".png", ".pdf", ".svg", ".jpg")


def output_file(text: str) -> Path:
    """The path of a file that will be written.

    Raises:
        ArgumentTypeError: it cannot be: its directory is missing, it is a directory itself, or writing is not permitted.
    """
    path = Path(text)
    try:
        problem = _problem(path)
    except OSError as error:  # such as a name that is too long
        problem = error.strerror
    if problem:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {problem}")
    return path


def picture_file(text: str) -> Path:
    """Likewise of a picture, whose ending is its format.

    Raises:
        ArgumentTypeError: as `output_file`; or the ending is that of no picture, or matplotlib is not installed.
    """
    path = output_file(text)
    if path.suffix.lower() not in _PICTURES:
        raise argparse.ArgumentTypeError(f"must end with {', '.join(_PICTURES[:-1])} or {_PICTURES[-1]}; got {text!r}")
    if importlib.util.find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError(optional.missing("matplotlib", "a picture"))
    return path


def integer(least: int = 1, most: int | None = None) -> Callable[[str], int]:
    """The type of an integer within bounds, both of which are allowed.

    Args:
        least: the lower one, 0 or more.
        most: the upper one; None for none.
    """
    expected = f"an integer of {least} or more" if most is None else f"an integer from {least} to {most}"

    def parse(text):
        # Nobody means a number of more digits, and Python refuses to read one of thousands.
        number = int(text) if text.isdecimal() and len(text) < 20 else None
        if number is None or number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"must be {expected}; got {text!r}")
        return number

    return parse


def thread_count(text: str) -> int:
    """A number of threads, of which nobody wants so many that the memory for them cannot be had."""
    return integer(1, MOST_THREADS)(text)


def _problem(path):
    """Why a file cannot be written; None where it seems that it can."""
    if path.is_dir():
        return "it is a directory"
    if not path.parent.is_dir():
        return f"there is no directory {str(path.parent)!r}"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return "it may not be written to"
    return None
