"""`tfq run MODEL.tfq IMAGES`: names what a packed network sees on an image file, or on each of a folder.

A line a file: its name, then class and score, the best first. The score is the softmax of the network's results. What cannot be
read is said in a line each, and makes the exit status 1 once the rest is done.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from tfq.arguments import output_file, thread_count
from tfq.runtime.labels import read as read_labels
from tfq.runtime.pictures import PictureError, Reader
from tfq.terminal import one_line, progress

# Images in memory at a time.
_BATCH = 64
# What would end a line or a column of it, and how it is spelt instead.
_ENDS = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
KEYS = ("file", "rank", "index", "label", "score", "error")


def main(arguments: Sequence[str], prog: str = "python -m tfq.runtime") -> int:
    """Run by the command line; returns the exit status."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    _check_outputs(parser, options)
    try:
        engine, labels = _engine(options)
        reader = Reader(engine.graph.input_shape, options.resize)
        paths = reader.find(options.images)
        if not paths:
            raise PictureError(f"there are no image files in {options.images}")
        _print_start(engine)
        rows = []
        # Where the lines go to the terminal themselves, they are what shows how far it is.
        with progress("images", len(paths)) if not sys.stdout.isatty() else nullcontext(lambda done: None) as done:
            for first in range(0, len(paths), _BATCH):
                part = paths[first : first + _BATCH]
                rows += _classify(engine, reader, part, options.top, labels)
                done(len(part))
        _write(options, rows)
    except (ValueError, ImportError, OSError) as error:
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 1
    failed = sum(row["error"] is not None for row in rows)
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
    parser.add_argument("--json", type=output_file, metavar="PATH", help=f"write the rows {{{', '.join(KEYS)}}} here")
    parser.add_argument("--csv", type=output_file, metavar="PATH", help="likewise, with commas between")
    return parser


def _check_outputs(parser, options):
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
    scores = dict(zip(images, _softmax(engine.predict(np.stack(list(images.values())))), strict=True)) if images else {}
    rows = []
    for path in paths:
        if path in errors:
            print(f"{_in_line(_shown(path))}: {errors[path]}", file=sys.stderr)  # which is one line
            rows.append(_row(path, error=errors[path]))
        else:
            best = _best(path, scores[path], top, labels)
            columns = [_shown(path), *(text for row in best for text in (_name(row), f"{row['score']:.4f}"))]
            print("\t".join(map(_in_line, columns)))
            rows += best
    return rows


def _best(path, scores, top, labels):
    order = np.argsort(-scores, kind="stable")[:top]
    return [
        _row(path, rank=rank, index=int(index), label=labels[index], score=float(scores[index]))
        for rank, index in enumerate(order, start=1)
    ]


def _row(path, **values):
    return {**dict.fromkeys(KEYS), "file": _shown(path), **values}


def _shown(path):
    """Name of a file as text that can be written: bytes of it that are no UTF-8 are spelt out."""
    return path.name.encode("utf-8", "backslashreplace").decode("utf-8")


def _in_line(text):
    """Text that leaves a line and its columns whole: what would end one is spelt out."""
    return text.translate(_ENDS)


def _name(row):
    return str(row["index"]) if row["label"] is None else row["label"]


def _softmax(results):
    powers = np.exp(results.astype(np.float64) - results.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _write(options, rows):
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if options.csv:
        with options.csv.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, KEYS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
