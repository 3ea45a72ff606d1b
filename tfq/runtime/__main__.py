"""`tfq run MODEL.tfq IMAGES`: names what a packed network sees on an image file, or on each of a folder.

A line a file: its name, then class and score, the best first. The score is the softmax of the network's results. What cannot be
read is said in a line each, and makes the exit status 1 once the rest is done.

With --out, images of subfolders are taken too, or those of `.npy` files. Results are tables in that folder, what cannot be read
has its reason there, and nothing is printed for each image. The same command goes on where it was killed.
"""

import argparse
import csv
import importlib.util
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from tfq import optional
from tfq.arguments import output_file, thread_count
from tfq.runtime import rows
from tfq.runtime.bulk import command as bulk
from tfq.runtime.labels import read as read_labels
from tfq.runtime.pictures import PictureError, Reader
from tfq.terminal import INTERRUPTED, one_line, progress

# Images in memory at a time.
_BATCH = 64
# What would end a line or a column of it, and how it is spelt instead.
_ENDS = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def main(arguments: Sequence[str], prog: str = "python -m tfq.runtime") -> int:
    """Run by the command line; returns the exit status."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    _check_outputs(parser, options)
    try:
        engine, labels = _engine(options)
        if options.out:
            return bulk.run(options, engine, labels, prog)
        reader = Reader(engine.graph.input_shape, options.resize)
        paths = reader.find(options.images)
        if not paths:
            raise PictureError(f"there are no image files in {options.images}")
        _print_start(engine)
        made = []
        # Where the lines go to the terminal themselves, they are what shows how far it is.
        with progress("images", len(paths)) if not sys.stdout.isatty() else nullcontext(lambda done: None) as done:
            for first in range(0, len(paths), _BATCH):
                part = paths[first : first + _BATCH]
                made += _classify(engine, reader, part, options.top, labels)
                done(len(part))
        _write(options, made)
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 1
    failed = sum(row["error"] is not None for row in made)
    if failed:
        print(f"{failed} of {len(paths)} files gave no result", file=sys.stderr)
    return 1 if failed else 0


def _parser(prog):
    parser = argparse.ArgumentParser(prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL.tfq", type=Path, help="packed network")
    parser.add_argument("images", metavar="IMAGES", type=Path, help="folder of image files, or one, of any format that PIL reads")
    parser.add_argument("--threads", type=thread_count, default=1, metavar="N", help="threads that share the images (default 1)")
    parser.add_argument("--top", type=int, default=1, metavar="K", help="name the K best classes (default 1)")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="names of the classes, one a line (default: the model's)")
    parser.add_argument("--resize", action="store_true", help="scale images of another size than the network's; else refused")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="for millions of images: write tables here, and go on where killed"
    )
    parser.add_argument(
        "--processes", type=thread_count, default=1, metavar="N", help="with --out: processes at once (default 1)"
    )
    parser.add_argument("--format", choices=bulk.FORMATS, default="csv", help="with --out: of the tables (default csv)")
    parser.add_argument("--json", type=output_file, metavar="PATH", help=f"write the rows {{{', '.join(rows.KEYS)}}} here")
    parser.add_argument("--csv", type=output_file, metavar="PATH", help="likewise, with commas between")
    return parser


def _check_outputs(parser, options):
    if options.out and (options.json or options.csv):
        parser.error("--out takes the place of --json and --csv")
    if not options.out and (options.processes, options.format) != (1, "csv"):
        parser.error("--processes and --format go with --out=DIR")
    if options.out and options.format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        parser.error(optional.missing("pyarrow", "--format=parquet"))
    if options.json and options.csv and options.json.resolve() == options.csv.resolve():
        parser.error(f"--json and --csv must be two files; got --json={options.json} --csv={options.csv}")


def _engine(options):
    """The engine, and the name of each class or None."""
    from tfq import runtime

    engine = runtime.load(options.model, options.threads)
    graph = engine.graph
    if graph.pixel_mean is None:
        raise ValueError(
            f"{options.model} holds no mean and deviation of its training images, without which pixels cannot be prepared: "
            "export it with pixel_mean and pixel_std (0 and 1/255 for a model that prepares them itself)"
        )
    shape = graph.output_shape
    if len(shape) != 1:
        raise ValueError(f"{options.model} gives results of shape {shape} an image; expected one number a class")
    if not 1 <= options.top <= shape[0]:
        raise ValueError(f"--top must be from 1 to {shape[0]}, the number of classes; got --top={options.top}")
    return engine, _labels(options, graph, shape[0])


def _labels(options, graph, classes):
    if options.labels is None and not graph.labels:
        return [None] * classes
    labels, source = list(graph.labels), options.model
    if options.labels is not None:
        labels, source = read_labels(options.labels), options.labels
    if len(labels) != classes:
        raise ValueError(f"the network has {classes} classes; {source} names {len(labels)}")
    return labels


def _print_start(engine):
    from tfq.runtime.warm_up import warm_up

    seconds, compiled = warm_up(engine)
    what = "compiled; the code is kept on disk for later starts" if compiled else "compiled code was on disk"
    print(f"ready after {seconds:.2f} s: {what}", file=sys.stderr)


def _classify(engine, reader, paths, top, labels):
    """Rows of some files, in their order; prints a line a file."""
    images, errors = {}, {}
    for path in paths:
        try:
            images[path] = reader.read(path)
        except PictureError as error:
            errors[path] = str(error)
    scores = dict(zip(images, rows.softmax(engine.predict(np.stack(list(images.values())))), strict=True)) if images else {}
    made = []
    for path in paths:
        if path in errors:
            print(f"{_in_line(_shown(path))}: {errors[path]}", file=sys.stderr)  # which is one line
            made.append(rows.row(_shown(path), error=errors[path]))
        else:
            best = rows.best(_shown(path), scores[path], top, labels)
            columns = [_shown(path), *(text for row in best for text in (_name(row), f"{row['score']:.4f}"))]
            print("\t".join(map(_in_line, columns)))
            made += best
    return made


def _shown(path):
    return rows.shown(path.name)


def _in_line(text):
    """Text that leaves a line and its columns whole: what would end one is spelt out."""
    return text.translate(_ENDS)


def _name(row):
    return str(row["index"]) if row["label"] is None else row["label"]


def _write(options, made):
    if options.json:
        options.json.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    if options.csv:
        with options.csv.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows.KEYS)
            writer.writeheader()
            writer.writerows(made)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("python -m tfq.runtime: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
