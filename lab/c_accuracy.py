"""`python -m lab.c_accuracy`: what int8 edges cost networks of the zoo in C, on the test images of CIFAR-10, and what they save.

Both ways take all images, as pixels, batch by batch in turns. The time of an image is the least of the batches. Beside them the
float way takes images that are moved by up to 0.1 %: what a network makes of that is no fault of int8.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tfq import c, files, zoo
from tfq.c.compiled import Compiled
from tfq.c.edges import EDGES
from tfq.data import cifar10
from tfq.graph import file, reference
from tfq.training import hardware

_NETWORKS = ("resnet20_xnor_cifar10", "nin_xnor_cifar10")
_FLAGS = ("-std=c99", "-O3", "-march=native")
_BATCH = 250
_MOVED_BY = 1e-3


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.c_accuracy", description=__doc__.split(": ", 1)[1].splitlines()[0])
    parser.add_argument("--networks", default=",".join(_NETWORKS), help="of the zoo, with commas between (default %(default)s)")
    parser.add_argument("--images", type=int, default=10_000, help="test images (default %(default)s)")
    parser.add_argument("--data_dir", help="where CIFAR-10 is (default: the cache)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    dataset = cifar10.load(options.data_dir)
    images, targets = dataset.x_test[: options.images], dataset.y_test[: options.images]
    made = {"hardware": hardware.describe(()), "flags": list(_FLAGS), "images": len(images), "networks": {}}
    for name in options.networks.split(","):
        made["networks"][name] = compared(file.read(zoo.path(name)), np.asarray(images), np.asarray(targets))
        print(f"{name}: {json.dumps(made['networks'][name], indent=1)}", flush=True)
    if options.json:
        files.write_text(options.json, json.dumps(made, indent=1) + "\n")
    return 0


def compared(graph, images: np.ndarray, targets: np.ndarray) -> dict:
    """Figures of a network by the name of its edges, and the shares of images with the same top-1 class: in int8, and moved.

    Args:
        graph: the network.
        images: uint8.
        targets: the right class of each.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = {name: c.write(graph, Path(folder) / name, "net", edges=edges) for name, edges in EDGES.items()}
        programs = {name: Compiled(each.paths[0], _FLAGS) for name, each in written.items()}
    logits, seconds = _in_turns(programs, images)
    classes = {name: found.argmax(axis=1) for name, found in logits.items()}
    figures: dict = {
        name: {
            "top1": round(float(np.mean(classes[name] == targets)), 4),
            "constants": each.manifest["flash"]["constants"],
            "code": each.manifest["flash"]["code_estimate"],
            "arena": each.manifest["ram"]["arena"],
            "milliseconds": round(1e3 * seconds[name], 4),
        }
        for name, each in written.items()
    }
    first, second = classes.values()
    moved = _of_moved(programs["float"], graph, images).argmax(axis=1)
    same = {"same_top1": first == second, "same_top1_of_moved_images": first == moved}
    return {**figures, **{name: round(float(np.mean(which)), 4) for name, which in same.items()}}


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


if __name__ == "__main__":
    sys.exit(main())
