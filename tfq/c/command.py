"""`tfq export FILE.tfq --formats=c`: a packed network as C. Needs no Keras."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tfq.c import limits
from tfq.c.layouts import LAYOUTS
from tfq.c.write import Written, write
from tfq.graph import file
from tfq.terminal import one_line


def main(arguments: Sequence[str], prog: str = "tfq export") -> int:
    """Write the files and say what they need; returns the exit status."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    source = Path(options.source)
    if options.formats != "c":
        parser.error(f"a packed network is written as C: give --formats=c; got --formats={options.formats}")
    try:
        graph = file.read(source)
        out = Path(options.out) if options.out else source.parent
        name = options.name or re.sub(r"\W", "_", source.stem, flags=re.ASCII)
        written = write(graph, out, name, flash=options.flash, ram=options.ram, layout=LAYOUTS[options.layout])
    except (ValueError, OSError, ImportError) as error:
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 1
    print(report(written))
    return 0


def report(written: Written) -> str:
    """What was written and what it needs, in a few lines."""
    found = written.manifest
    flash, ram = found["flash"], found["ram"]
    macs = ", ".join(f"{count:,} in {kind}" for kind, count in found["macs"].items()) or "none"
    return "\n".join(
        [
            f"c: {written.paths[0]} and {', '.join(path.name for path in written.paths[1:])}",
            f"flash: {flash['constants']:,} bytes of constants, about {flash['code_estimate']:,} of code",
            f"ram: {ram['arena']:,} bytes of arena, {ram['input']:,} of input in float, {ram['output']:,} of output",
            f"multiply-accumulates: {macs}",
        ]
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options --flash and --ram."""
    for name, what in (("flash", "constants and code"), ("ram", "arena, input and output")):
        parser.add_argument(f"--{name}", type=_size, metavar="SIZE", help=f"of c: fail where {what} need more, such as 256K")


def add_layout(parser: argparse.ArgumentParser) -> None:
    """Add the option --layout."""
    what = "of c: the files beside each other, or as a library of a build system (default: flat)"
    parser.add_argument("--layout", choices=LAYOUTS, default="flat", help=what)


def _size(text):
    try:
        return limits.size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser(prog):
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("source", metavar="FILE.tfq", help="packed network")
    parser.add_argument("--formats", default="c", help="c")
    parser.add_argument("--out", metavar="DIR", help="directory to write to (default: that of the file)")
    parser.add_argument("--name", help="of the files and in them (default: that of the file)")
    add_limits(parser)
    add_layout(parser)
    return parser
