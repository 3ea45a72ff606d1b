"""`python -m lab.c_accuracy`: what int8 edges and residual sums in int16 cost networks of the zoo in C, and what they save.

Each way that makes other C of a network is compiled with vectors. All take the test images, as pixels, batch by batch in turns. A
row has top-1 accuracy, images whose class is that of the float way, the median and the largest difference of logits over the
largest of an image, bytes of constants, code and arena, and the least time of a batch, an image. "moved" is the float way on
images that are moved by up to 0.1 %: what a network makes of that is no fault of fixed point.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tfq import c, data, files, zoo
from tfq.arguments import integer, output_file
from tfq.c.compiled import Compiled
from tfq.c.edges import INT8
from tfq.c.residuals import INT16
from tfq.graph import file, reference
from tfq.terminal import one_line, table
from tfq.training import hardware

_NETWORKS = (
    "resnet20_xnor_cifar10", "nin_xnor_cifar10", "resnet20_272k_xnor_cifar10", "resnet20_dorefa_a1w1_cifar10",
    "resnet20_dorefa_a2w2_cifar10", "resnet20_272k_dorefa_a1w1_cifar10", "resnet20_272k_dorefa_a2w2_cifar10",
    "resnet20_ternary_a1_cifar10",
)  # fmt: skip
FLOAT, MOVED = "float", "moved"
# Options of `tfq.c.write` by the name of each way; the float one is what the others are compared with.
WAYS: dict[str, dict] = {
    FLOAT: {},
    "int8 edges": {"edges": INT8},
    "int16 residual": {"residual": INT16},
    "both": {"edges": INT8, "residual": INT16},
}
_FLAGS = ("-std=c99", "-O3", "-march=native")
_BATCH = 250
_MOVED_BY = 1e-3
_HEADINGS = ("network", "way", "top-1", "same class", "median", "farthest", "constants", "code", "arena", "ms")


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.c_accuracy", description=__doc__.split(": ", 1)[1])
    parser.add_argument("networks", nargs="*", default=_NETWORKS, help="of the zoo (default: eight of them)")
    parser.add_argument("--images", type=integer(), default=10000, help="test images (default 10000)")
    parser.add_argument("--dataset", default="cifar10", help="default: %(default)s")
    parser.add_argument("--data_dir", help="where the data set is, if it is not to be found in the cache or fetched")
    parser.add_argument("--json", metavar="PATH", type=output_file, help="write the rows here")
    options = parser.parse_args(arguments)
    try:
        dataset = data.load(options.dataset, options.data_dir, log=lambda line: None)
        images, labels = (np.asarray(part[: options.images]) for part in (dataset.x_test, dataset.y_test))
        rows = [row for name in options.networks for row in compare(name, images, labels)]
    except (data.DataError, file.FileError, c.NoC, ImportError, OSError, ValueError) as error:
        print(f"python -m lab.c_accuracy: error: {one_line(error)}", file=sys.stderr)
        return 1
    if options.json:
        made = {"hardware": hardware.describe(()), "flags": list(_FLAGS), "rows": rows}
        files.write_text(options.json, json.dumps(made, indent=1) + "\n")
    print(table(_HEADINGS, map(_cells, rows), align="llrrrrrrrr"))
    return 0


def compare(name, images, labels):
    """A row for each way of one network of the zoo, and for moved images.

    Args:
        name: of the network.
        images: uint8.
        labels: the right class of each.
    """
    graph = file.read(zoo.path(name))
    with tempfile.TemporaryDirectory() as folder:
        written = _written(graph, images, Path(folder))
        programs = {way: Compiled(each.paths[0], _FLAGS) for way, each in written.items()}
    logits, seconds = _in_turns(programs, images)
    logits[MOVED] = _of_moved(programs[FLOAT], graph, images)
    rows = {way: {"network": name, "way": way, **_agreement(found, logits[FLOAT], labels)} for way, found in logits.items()}
    for way, each in written.items():
        flash, ram = each.manifest["flash"], each.manifest["ram"]
        sizes = {"constants": flash["constants"], "code": flash["code_estimate"], "arena": ram["arena"]}
        rows[way] |= {**sizes, "milliseconds": round(1e3 * seconds[way], 4)}
    return list(rows.values())


def _written(graph, images, folder):
    """The C of each way; ways that change nothing are left out."""
    written, seen = {}, set()
    for number, (way, options) in enumerate(WAYS.items()):
        each = c.write(graph, folder / str(number), "net", inputs=images[:1], **options)
        text = each.paths[0].read_bytes()
        if text not in seen:
            written[way] = each
        seen.add(text)
    return written


def _agreement(logits, of_float, labels):
    classes = logits.argmax(axis=1)
    apart = np.abs(logits - of_float).max(axis=1) / np.abs(of_float).max(axis=1)
    return {
        "images": len(labels),
        "top1": float(np.mean(classes == labels)),
        "same_class": int(np.sum(classes == of_float.argmax(axis=1))),
        "median": float(np.median(apart)),
        "farthest": float(apart.max()),
    }


def _of_moved(program, graph, images):
    """Logits of images whose values are moved at random."""
    rng, results = np.random.default_rng(0), []
    for first in range(0, len(images), _BATCH):
        batch = reference.prepared(graph, images[first : first + _BATCH])
        batch *= 1 + _MOVED_BY * rng.uniform(-1, 1, batch.shape)
        results.append(program.predict(batch.astype(np.float32)))
    return np.concatenate(results)


def _in_turns(programs, images):
    """Logits, and the least seconds of an image, by the name of each program."""
    logits, seconds = {name: [] for name in programs}, dict.fromkeys(programs, float("inf"))
    for first in range(0, len(images), _BATCH):
        batch = images[first : first + _BATCH]
        for name, program in programs.items():
            begin = time.perf_counter()
            logits[name].append(program.predict(batch))
            seconds[name] = min(seconds[name], (time.perf_counter() - begin) / len(batch))
    return {name: np.concatenate(parts) for name, parts in logits.items()}, seconds


def _cells(row):
    sizes = [f"{row[name]:,}" if name in row else "" for name in ("constants", "code", "arena")]
    agreement = f"{row['same_class']:,} of {row['images']:,}", f"{row['median']:.1e}", f"{row['farthest']:.1e}"
    milliseconds = f"{row['milliseconds']:.3f}" if "milliseconds" in row else ""
    return (row["network"], row["way"], f"{row['top1']:.2%}", *agreement, *sizes, milliseconds)


if __name__ == "__main__":
    sys.exit(main())
