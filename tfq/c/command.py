"""`tfq export FILE.tfq --formats=c`: a packed network as C. Needs no Keras."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tfq.c import limits
from tfq.c.edges import EDGES
from tfq.c.layouts import FLAT, LAYOUTS
from tfq.c.residuals import RESIDUALS
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
        name = options.name or re.sub(r"\W", "_", source.stem, flags=re.ASCII)
        layout = LAYOUTS[options.layout]
        # A library has a folder of its own: its files have names that other projects use too.
        out = Path(options.out) if options.out else source.parent if layout is FLAT else source.parent / name
        edges, residual = EDGES[options.edges], RESIDUALS[options.residual]
        written = write(graph, out, name, flash=options.flash, ram=options.ram, layout=layout, edges=edges, residual=residual)
    except (ValueError, OSError, ImportError) as error:
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 1
    print(report(written, out))
    return 0


def report(written: Written, out: Path) -> str:
    """What was written into the folder `out` and what it needs, in a few lines."""
    found = written.manifest
    flash, ram = found["flash"], found["ram"]
    macs = ", ".join(f"{count:,} in {kind}" for kind, count in found["macs"].items()) or "none"
    return "\n".join(
        [
            f"c: in {out}: {', '.join(path.relative_to(out).as_posix() for path in written.paths)}",
            f"flash: {flash['constants']:,} bytes of constants, about {flash['code_estimate']:,} of code",
            f"ram: {ram['arena']:,} bytes of arena, {ram['input']:,} of input in float, {ram['output']:,} of output",
            f"multiply-accumulates: {macs}",
            f"products of floats: {_products(found)}",
        ]
    )


def _products(found):
    kinds = (("in float", found["float_products"]), ("in int8", found["int8_products"]))
    return "; ".join(f"{', '.join(names)} {kind}" for kind, names in kinds if names) or "none"


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options --flash and --ram."""
    for name, what in (("flash", "constants and code"), ("ram", "arena, input and output")):
        parser.add_argument(f"--{name}", type=_size, metavar="SIZE", help=f"of c: fail where {what} need more, such as 256K")


def add_layout(parser: argparse.ArgumentParser) -> None:
    """Add the option --layout."""
    what = "of c: the files beside each other, or as a library of a build system (default: flat)"
    parser.add_argument("--layout", choices=LAYOUTS, default="flat", help=what)


def add_edges(parser: argparse.ArgumentParser) -> None:
    """Add the option --edges."""
    what = "of c: products of float inputs and float weights in float, or in int8 fixed point (default: float)"
    parser.add_argument("--edges", choices=EDGES, default="float", help=what)


def add_residual(parser: argparse.ArgumentParser) -> None:
    """Add the option --residual."""
    what = "of c: how tensors are kept that results of convolutions are added to; int16 is fixed point (default: float)"
    parser.add_argument("--residual", choices=RESIDUALS, default="float", help=what)


def _size(text):
    try:
        return limits.size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser(prog):
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("source", metavar="FILE.tfq", help="packed network")
    parser.add_argument("--formats", default="c", help="c")
    default = "that of the file; for a library of a build system, NAME in that"
    parser.add_argument("--out", metavar="DIR", help=f"directory to write to (default: {default})")
    parser.add_argument("--name", help="of the files and in them (default: that of the file)")
    add_limits(parser)
    add_layout(parser)
    add_edges(parser)
    add_residual(parser)
    return parser
