"""Keeps the reports of TensorFlow's C++ parts off the terminal."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet(passing: type[BaseException] | tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Send standard output and error nowhere while the body runs, those of C++ code too; if it fails, show them on stderr.

    Args:
        passing: types of errors that say all there is to say, at which nothing is shown.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as noise, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger = logging.getLogger("tensorflow")
        loggers = (logger, logging.getLogger())  # a first warning gives the root one a handler too
        level = logger.level
        logger.setLevel(logging.ERROR)
        saved = _redirect(noise)
        failed = True
        try:
            # Python's streams need not be the process' own, as in a notebook.
            with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
                yield
            failed = False
        except passing:
            failed = False
            raise
        finally:
            _restore(saved)
            logger.setLevel(level)
            for each in loggers:
                _release(each, noise)
            if failed:
                noise.seek(0)
                sys.stderr.write(noise.read())


def _redirect(file):
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    for descriptor, _ in saved:
        os.dup2(file.fileno(), descriptor)
    return saved


def _restore(saved):
    sys.stdout.flush()
    sys.stderr.flush()
    for descriptor, copy in saved:
        os.dup2(copy, descriptor)
        os.close(copy)


def _release(logger, file):
    """Let the handlers that were made meanwhile write to where errors go now, not to a file that is closed."""
    for handler in logger.handlers:
        if getattr(handler, "stream", None) is file:
            handler.setStream(sys.stderr)
