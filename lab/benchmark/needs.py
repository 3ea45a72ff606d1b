"""What a benchmark needs of its environment, said before any work."""

import importlib.util
from pathlib import Path

from tfq import optional
from tfq.terminal import one_line


def checkout(parser):
    """End the command with a line outside of a checkout, which has the networks in models/.

    Args:
        parser: that of the command, whose name the line begins with.
    """
    if not Path("models").is_dir():
        parser.exit(2, f"{parser.prog}: needs the networks in models/: run it in a checkout of tfq\n")


def installed_tensorflow(parser):
    """End the command with a line unless TensorFlow is installed; imports nothing.

    Args:
        parser: that of the command, whose name the line begins with.
    """
    if importlib.util.find_spec("tensorflow") is None:
        _end(parser, optional.missing("tensorflow"))


def tensorflow(parser):
    """End the command with a line unless Keras runs on TensorFlow, from which the files of other engines are made.

    Args:
        parser: as `installed_tensorflow` takes it.
    """
    installed_tensorflow(parser)
    try:
        from tfq import export

        export.check(("tflite",))
    except (ImportError, ValueError) as error:  # a backend that is not installed, or another one
        _end(parser, error)


def _end(parser, reason):
    parser.exit(1, f"{parser.prog}: error: {one_line(reason)}\n")
