"""Export a run, or a model file, to files for other programs and for `tfq.runtime`; says what each file holds."""

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from tfq import data, export
from tfq.arguments import integer
from tfq.c.command import add_edges, add_layout, add_limits, add_residual
from tfq.c.edges import EDGES
from tfq.c.layouts import FLAT, LAYOUTS
from tfq.c.residuals import RESIDUALS
from tfq.data import names, npz
from tfq.export import run
from tfq.export.formats.c import CSource
from tfq.graph.file import FileError
from tfq.terminal import one_line
from tfq.training.checkpoint import CheckpointError

# What a user can come upon; each is one line.
_ERRORS = (
    export.Unsupported,
    export.ExportMismatch,
    run.RunError,
    FileError,
    CheckpointError,
    data.DataError,
    ImportError,
    ValueError,
    OSError,
)


def main(arguments: Sequence[str], prog: str = "python -m tfq.export") -> int:
    """Export by the command line; returns the exit status."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    source = Path(options.source)
    if source.is_file() and options.images is None:
        parser.error(f"{source} is a model file, which does not say its data set: give --images=FILE.npz to compare on")
    out = Path(options.out) if options.out else (source if source.is_dir() else source.parent) / "export"
    formats = [name.strip() for name in options.formats.split(",")]
    layout, edges, residual = LAYOUTS[options.layout], EDGES[options.edges], RESIDUALS[options.residual]
    if options.flash or options.ram or layout != FLAT or edges.rounds or residual.rounds:
        export.register_format(CSource(options.flash, options.ram, layout, edges, residual))
    try:
        export.export_model(source, out, formats, **_images(source, options), log=_print)
    except _ERRORS as error:
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _print(report):
    print(report, report.by_layer(), sep="\n", flush=True)


def _images(source, options):
    """Images to compare on, and pixel statistics as far as they are given; a model file does not say how it takes images."""
    labels = names.read(options.labels) if options.labels else ()
    if options.images is None:
        given = {"pixel_mean": options.pixel_mean, "pixel_std": options.pixel_std}
        return {"count": options.count, "labels": labels, **given}
    dataset = npz.load(options.images)
    labels = labels or (() if source.is_dir() else dataset.labels)
    images, targets = np.asarray(dataset.x_test[: options.count]), dataset.y_test[: options.count]
    pixels = {name: _for_channels(getattr(options, name), images) for name in ("pixel_mean", "pixel_std")}
    if not source.is_dir() and images.dtype == np.uint8 and not any(pixels.values()):
        print(
            f"{options.images}: pixels are given to the model as they are, float32 from 0 to 255; if it was trained on others, "
            "such as (x / 255 - mean) / std, give --pixel_mean and --pixel_std",
            flush=True,
        )
        images = images.astype(np.float32)
    return {"images": images, "targets": targets, "labels": labels, **pixels}


def _for_channels(values, images):
    """Statistics a channel, of which one value stands for all."""
    return values * images.shape[-1] if values is not None and len(values) == 1 else values


def _numbers(text):
    try:
        return [float(Fraction(part.strip())) for part in text.split(",")]
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"must be numbers with commas between, such as 0.49,0.48,1/255; got {text!r}") from error


def _parser(prog):
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("source", metavar="RUN_OR_MODEL", help="directory of a run of train.py, or a .keras file")
    parser.add_argument("--formats", default="tfq", help=f"with commas between: {', '.join(export.FORMATS)} (default: tfq)")
    parser.add_argument("--out", help="directory, or of one format the file, to write to (default: export/ beside the model)")
    parser.add_argument("--images", metavar="FILE.npz", help="data set to compare on (default: that of the run)")
    for name, what in (("mean", "mean"), ("std", "deviation")):
        parser.add_argument(
            f"--pixel_{name}",
            metavar="X,X,X",
            type=_numbers,
            help=f"{what} of the training pixels scaled to [0, 1], one a channel or one for all (default: the run's; else none)",
        )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="names of the classes: one a line, or NAME,NAME,... (default: those of the run, or in FILE.npz)",
    )
    parser.add_argument(
        "--count", type=integer(run.FEWEST_IMAGES), default=run.IMAGES, help=f"images to compare on (default: {run.IMAGES})"
    )
    add_limits(parser)
    add_layout(parser)
    add_edges(parser)
    add_residual(parser)
    return parser
