"""`tfq summary RUN_OR_MODEL`: what a network costs, layer by layer."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tfq import backends
from tfq.terminal import one_line

if TYPE_CHECKING:
    from tfq.summary import Summary


def main(arguments: list[str], prog: str = "tfq summary") -> int:
    """Print what `tfq.summary` counts; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Operations, parameters and memory of a network at its bit widths, layer by layer."
    )
    parser.add_argument("source", metavar="RUN_OR_MODEL", type=Path, help="directory of a run of train.py, .keras or .tfq file")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", dest="form", action="store_const", const=_csv, default=_table, help="comma-separated values")
    form.add_argument("--json", dest="form", action="store_const", const=_json, help="a JSON object")
    options = parser.parse_args(arguments)
    backends.choose()
    try:
        from tfq.export.errors import ExportError  # with the backend that was chosen
        from tfq.training.checkpoint import CheckpointError
    except (ImportError, ValueError) as error:  # it is not installed, or none is
        return _fail(prog, error)
    try:
        print(options.form(_summary(options.source)))
    except (ExportError, CheckpointError, ImportError, ValueError, OSError) as error:
        return _fail(prog, error)
    return 0


def _summary(source: Path) -> "Summary":
    from tfq.convert.to_keras import load_packed
    from tfq.export import run
    from tfq.summary import summarize

    if source.suffix == ".tfq":
        return summarize(load_packed(source))
    model, *_ = run.read(source, images=())
    return summarize(model)


def _table(summary):
    return summary.table()


def _csv(summary):
    return summary.to_csv().rstrip("\n")


def _json(summary):
    return json.dumps(summary.to_dict(), indent=2)


def _fail(prog: str, error: Exception) -> int:
    print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
    return 1
