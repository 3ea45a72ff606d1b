"""`python -m lab.benchmark start OLD`: from the start of a process to its first result, of two builds of the runtime in turns.

OLD and `--new` are checkouts, or revisions of this one. A first start finds no code on disk and compiles; a later one finds
what the first has left.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab.benchmark.builds import checkout
from tfq import files, zoo
from tfq.arguments import integer, output_file
from tfq.terminal import one_line, table

KEYS = ("start", "pairs", "old_s", "new_s", "ratio")
_RESULT = (
    "import sys, numpy; from tfq import runtime; engine = runtime.load(sys.argv[1]); "
    "engine.predict(numpy.zeros((1, *engine.graph.input_shape), 'float32'))"
)


def main(arguments) -> int:
    """Measure, print a table, and write the rows where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark start", description=__doc__.splitlines()[0])
    parser.add_argument("old", metavar="OLD", help="directory of a checkout, or revision of this repository")
    parser.add_argument("--new", default=".", help="likewise (default: this checkout)")
    parser.add_argument("--network", metavar="MODEL.tfq", type=Path, default=zoo.path("resnet20_xnor_cifar10"))
    parser.add_argument("--first", type=integer(), default=2, help="pairs of first starts (default 2)")
    parser.add_argument("--later", type=integer(), default=7, help="pairs of later ones (default 7)")
    parser.add_argument("--json", metavar="PATH", type=output_file, help=f"write the rows {{{', '.join(KEYS)}}} here")
    options = parser.parse_args(arguments)
    try:
        rows = _measure(options)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        parser.exit(1, f"{parser.prog}: error: {one_line(error)}\n")
    cells = [(row["start"], str(row["pairs"]), *(f"{row[key]:.2f}" for key in KEYS[2:])) for row in rows]
    print(table(("start", "pairs", "old, s", "new, s", "of old"), cells, align="lrrrr"))
    if options.json:
        files.write_text(options.json, json.dumps(rows, indent=2) + "\n")
    return 0


def _measure(options):
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        named = {"old": options.old, "new": options.new}
        builds = [stack.enter_context(checkout(text, directory / name)) for name, text in named.items()]

        def pair(cache):
            return [_seconds(build, options.network, directory / f"{cache}-{number}") for number, build in enumerate(builds)]

        first = [pair(f"first{number}") for number in range(options.first)]
        later = [pair("first0") for _ in range(options.later)]  # of which the code is there
    return [_row(start, pairs) for start, pairs in (("first", first), ("later", later))]


def _seconds(build, network, cache):
    """From the start of a process to its end, which comes with its first result."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    begin = time.perf_counter()
    # In the build's folder: with `-c` the folder that Python starts in comes before PYTHONPATH.
    subprocess.run([sys.executable, "-c", _RESULT, str(network.resolve())], env=environment, cwd=build, check=True)
    return time.perf_counter() - begin


def _row(start, pairs):
    old, new = (statistics.median(pair[build] for pair in pairs) for build in (0, 1))
    return dict(zip(KEYS, (start, len(pairs), old, new, statistics.median(new / old for old, new in pairs)), strict=True))
