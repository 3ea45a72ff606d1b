"""`tfq summary RUN_OR_MODEL`: what a network costs, layer by layer."""

import argparse
import sys
from pathlib import Path

from tfq import backends
from tfq.terminal import one_line


def main(arguments: list[str], prog: str = "tfq summary") -> int:
    """Print the table of `tfq.summary`; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Operations, parameters and memory of a network at its bit widths, layer by layer."
    )
    parser.add_argument("source", metavar="RUN_OR_MODEL", type=Path, help="directory of a run of train.py, .keras or .tfq file")
    options = parser.parse_args(arguments)
    backends.choose()
    try:
        from tfq.export.errors import ExportError  # with the backend that was chosen
        from tfq.training.checkpoint import CheckpointError
    except (ImportError, ValueError) as error:  # it is not installed, or none is
        return _fail(prog, error)
    try:
        print(_summary(options.source))
    except (ExportError, CheckpointError, ImportError, ValueError, OSError) as error:
        return _fail(prog, error)
    return 0


def _summary(source: Path) -> str:
    from tfq.convert.to_keras import load_packed
    from tfq.export import run
    from tfq.summary import summarize

    if source.suffix == ".tfq":
        return summarize(load_packed(source)).table()
    model, *_ = run.read(source, images=())
    return summarize(model).table()


def _fail(prog: str, error: Exception) -> int:
    print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
    return 1
