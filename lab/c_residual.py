"""`python -m lab.c_residual`: what residual sums in int16 cost: accuracy of the C with them and without, on all test images.

Networks of the zoo with residuals, compiled with vectors. Top-1 accuracy, images whose top-1 class is that with float residuals,
the median and the largest difference of logits over the largest of an image, bytes of the arena.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from tfq import c, data, files, zoo
from tfq.arguments import integer
from tfq.c import compiled
from tfq.c.residuals import FLOAT, INT16
from tfq.graph import file
from tfq.terminal import one_line, table

_FLAGS = ("-std=c99", "-O3", "-march=native")
_NETWORKS = (
    "resnet20_xnor_cifar10", "resnet20_272k_xnor_cifar10", "resnet20_dorefa_a1w1_cifar10", "resnet20_dorefa_a2w2_cifar10",
    "resnet20_272k_dorefa_a1w1_cifar10", "resnet20_272k_dorefa_a2w2_cifar10", "resnet20_ternary_a1_cifar10",
)  # fmt: skip
_HEADINGS = ("network", "images", "top-1, float", "int16", "same class", "median", "farthest", "arena, float", "int16")


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.c_residual", description=__doc__.split(": ", 1)[1])
    parser.add_argument("networks", nargs="*", default=_NETWORKS, help="of the zoo (default: those with residuals)")
    parser.add_argument("--images", type=integer(), default=10000, help="test images (default 10000)")
    parser.add_argument("--dataset", default="cifar10", help="default: %(default)s")
    parser.add_argument("--data_dir", help="where the data set is, if it is not to be found in the cache or fetched")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args(arguments)
    try:
        dataset = data.load(options.dataset, options.data_dir, log=lambda line: None)
        images, labels = dataset.x_test[: options.images], dataset.y_test[: options.images]
        rows = [compare(name, images, labels) for name in options.networks]
    except (data.DataError, file.FileError, c.NoC, ImportError, OSError, ValueError) as error:
        print(f"python -m lab.c_residual: error: {one_line(error)}", file=sys.stderr)
        return 1
    if options.json:
        files.write_text(options.json, json.dumps(rows, indent=1) + "\n")
    print(table(_HEADINGS, map(_cells, rows), align="lrrrrrrrr"))
    return 0


def compare(name, images, labels):
    """The figures of one network of the zoo, as a dictionary."""
    graph = file.read(zoo.path(name))
    logits, arenas = {}, {}
    for residual in (FLOAT, INT16):
        with tempfile.TemporaryDirectory() as folder:
            written = c.write(graph, folder, "net", inputs=images[:1], residual=residual)
            logits[residual.name] = compiled.Compiled(written.paths[0], _FLAGS).predict(images).reshape(len(images), -1)
        arenas[residual.name] = written.manifest["ram"]["arena"]
    classes = {key: values.argmax(axis=1) for key, values in logits.items()}
    apart = np.abs(logits["int16"] - logits["float"]).max(axis=1) / np.abs(logits["float"]).max(axis=1)
    return {
        "network": name,
        "images": len(images),
        "top1": {key: float(np.mean(found == labels)) for key, found in classes.items()},
        "same_class": int(np.sum(classes["int16"] == classes["float"])),
        "median": float(np.median(apart)),
        "farthest": float(apart.max()),
        "arena": arenas,
    }


def _cells(row):
    shares = [f"{100 * row['top1'][key]:.2f} %" for key in ("float", "int16")]
    apart = [f"{row[key]:.1e}" for key in ("median", "farthest")]
    arenas = [f"{size:,}" for size in row["arena"].values()]
    return (row["network"], f"{row['images']:,}", *shares, f"{row['same_class']:,}", *apart, *arenas)


if __name__ == "__main__":
    sys.exit(main())
