"""`python -m lab.benchmark conv`: a single binary convolution at several shapes, on each engine, one thread, one image.

tfq and larq-compute-engine compute it in bits; TFLite (float32 and int8, XNNPACK) and Keras a float one of the same shape. All
get an array of floats and give a new one: packing the signs counts, and so do the copies that TFLite makes. "tfq_packed" is the
convolution of tfq alone, its inputs packed already, as within a network. What the processor can do at all, xor, popcount and add
in registers, is measured in the same turns.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from lab.benchmark import conv_plot, needs
from lab.benchmark.conv_shapes import SHAPES, Shape
from tfq.arguments import integer, output_file, picture_file
from tfq.speed.worker import Worker
from tfq.terminal import one_line, progress, table

ENGINES = ("tfq", "lce", "tflite_float32", "tflite_int8", "keras")
PACKED = "tfq_packed"
KEYS = (
    *("engine", "height", "channels", "filters", "kernel", "threads", "batch"),
    *("p50_ms", "gmac_s", "share_of_popcount_limit"),
)
# Calls of each engine a turn.
_CALLS = 20


def main(arguments):
    """Measure, print a table, and write the rows where `--json` says."""
    options, parser = _options(arguments)
    needs.tensorflow(parser)
    from lab.benchmark import conv_files
    from tfq.export import ExportMismatch

    with tempfile.TemporaryDirectory() as directory:
        try:
            made = {shape: conv_files.make(Path(directory) / str(index), shape) for index, shape in enumerate(options.shapes)}
        except (ExportMismatch, ImportError, ValueError) as error:
            print(f"python -m lab.benchmark conv: error: {one_line(error)}", file=sys.stderr)
            return 1
        rows = _measure(made, options.repetitions)
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        conv_plot.draw(rows, options.plot)
    return 0


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark conv", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--shapes",
        nargs="+",
        type=_shape,
        default=SHAPES,
        metavar="HxCxFxK",
        help="height and width of the image, channels, filters, size of the kernel, as in 32x64x64x3 (default: eight of them)",
    )
    parser.add_argument(
        "--repetitions", type=integer(), default=10, help=f"turns of each engine, {_CALLS} calls a turn (default 10)"
    )
    parser.add_argument("--json", metavar="PATH", type=output_file, help=f"write the rows {{{', '.join(KEYS)}}} here")
    parser.add_argument("--plot", metavar="PATH", type=picture_file, help="draw the speeds into this picture")
    return parser.parse_args(arguments), parser


def _shape(text):
    parts = text.split("x")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"must be four numbers above 0, such as 32x64x64x3; got {text!r}")
    return Shape(*map(int, parts))


def _measure(made, repetitions):
    workers = {engine: Worker("lab.benchmark.infer_worker:Measured", engine, 1) for engine in ENGINES}
    limit = Worker("lab.benchmark.popcount:Limit")
    rows = []
    with progress("measuring", len(made) * repetitions) as done:
        for shape, files in made.items():
            for engine, worker in workers.items():
                worker.call("load", files.files[engine], files.images)
            times, rates = {engine: [] for engine in (*ENGINES, PACKED)}, []
            for _ in range(repetitions):
                rates += limit.call("rates", _CALLS)
                for engine, worker in workers.items():
                    times[engine] += worker.call("time", 1, _CALLS)
                times[PACKED] += workers["tfq"].call("convolution", _CALLS)
                done(1)
            rows += [_row(engine, shape, np.median(taken), np.median(rates)) for engine, taken in times.items()]
    for worker in (*workers.values(), limit):
        worker.close()
    return rows


def _row(engine, shape, p50_ms, limit):
    rate = 1e3 * shape.gmac / float(p50_ms)
    values = (engine, *shape, 1, 1, float(p50_ms), rate, rate / float(limit))
    return {**dict(zip(KEYS, values, strict=True)), "popcount_limit_gmac_s": float(limit)}


def _print(rows):
    cells, shape = [], None
    for row in rows:
        before, shape = shape, Shape(*(row[name] for name in Shape._fields))
        figures = f"{row['p50_ms']:.3f}", f"{row['gmac_s']:.1f}", f"{row['share_of_popcount_limit']:.1%}"
        cells.append(("" if shape == before else shape, row["engine"], *figures))
    print(table(("convolution", "engine", "p50 ms", "GMAC/s", "of the limit"), cells, align="llrrr"))
    limits = [row["popcount_limit_gmac_s"] for row in rows]
    print(f"the limit: {np.median(limits):.0f} GMAC/s of xor, popcount and add in registers, one core")
