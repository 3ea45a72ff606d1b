"""Export a run, or a model file, to files for other programs and for `tfq.runtime`; says what each file holds."""

import argparse
import sys
from pathlib import Path

from tfq import data, export
from tfq.arguments import integer
from tfq.data import names, npz
from tfq.export import run
from tfq.runtime.file import FileError
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


def main(arguments):
    """Export by the command line; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    source = Path(options.source)
    if source.is_file() and options.images is None:
        parser.error(f"{source} is a model file, which does not say its data set: give --images=FILE.npz to compare on")
    out = Path(options.out) if options.out else (source if source.is_dir() else source.parent) / "export"
    formats = [name.strip() for name in options.formats.split(",")]
    try:
        export.export_model(source, out, formats, **_images(source, options), log=_print)
    except _ERRORS as error:
        print(f"python -m tfq.export: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _print(report):
    print(report, report.by_layer(), sep="\n", flush=True)


def _images(source, options):
    """Images to compare on from an `.npz` file; a model file, other than a run, does not say how they are to be prepared."""
    labels = names.read(options.labels) if options.labels else ()
    if options.images is None:
        return {"count": options.count, "labels": labels}
    dataset = npz.load(options.images)
    pixels = {} if source.is_dir() else {"pixel_mean": dataset.mean, "pixel_std": dataset.std}
    pixels["labels"] = labels or (() if source.is_dir() else dataset.labels)
    return {"images": dataset.x_test[: options.count], "targets": dataset.y_test[: options.count], **pixels}


def _parser():
    parser = argparse.ArgumentParser(prog="python -m tfq.export", description=__doc__)
    parser.add_argument("source", metavar="RUN_OR_MODEL", help="directory of a run of train.py, or a .keras file")
    parser.add_argument("--formats", default="tfq", help=f"with commas between: {', '.join(export.FORMATS)} (default: tfq)")
    parser.add_argument("--out", help="directory to write to (default: export/ beside the model)")
    parser.add_argument("--images", metavar="FILE.npz", help="data set to compare on (default: that of the run)")
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="names of the classes: one a line, or NAME,NAME,... (default: those of the run, or in FILE.npz)",
    )
    parser.add_argument(
        "--count", type=integer(run.FEWEST_IMAGES), default=run.IMAGES, help=f"images to compare on (default: {run.IMAGES})"
    )
    return parser
