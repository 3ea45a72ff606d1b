"""`python -m lab.c_equality`: whether the C of packed networks computes what `tfq.runtime` does, by the rule of `equality`.

Takes every `.tfq` file of `results/` and of the zoo once, compiles its C with vectors, and gives all test images to both. Logits
agree within 1e-4 of the largest of the image. An image beyond is traced: it must have a sign or level that is not the runtime's,
and the first one lies within 1e-5 deviations of its boundary. Integer sums are compared on the traced images and on a sample, up
to an image's first flip: all are equal. Ends with status 1 and a line for each violation. A network whose row is in `--json`
already, of the same C and as many images, is not run again.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lab.equality import layers as by_layer
from lab.equality import network as by_network
from lab.equality import parts
from tfq import c, data, files
from tfq.arguments import integer
from tfq.c import compiled
from tfq.c.write import source_files
from tfq.export.sample import Sample
from tfq.export.verify import TOLERANCE
from tfq.graph import file
from tfq.runtime import Engine
from tfq.terminal import one_line, table

_FLAGS = ("-std=c99", "-O3", "-march=native", "-ffp-contract=off")
_PLACES = (Path("tfq/zoo/networks"), Path("results"))


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.c_equality", description=__doc__.split(": ", 1)[1])
    parser.add_argument("networks", nargs="*", type=Path, help="`.tfq` files (default: those of results/ and of the zoo)")
    parser.add_argument("--images", type=integer(), default=10000, help="test images (default 10000)")
    parser.add_argument("--sum_images", type=integer(), default=100, help="of them, whose sums are compared (default 100)")
    parser.add_argument("--dataset", default="cifar10", help="default: %(default)s")
    parser.add_argument("--data_dir", help="where the data set is, if it is not to be found in the cache or fetched")
    parser.add_argument("--json", type=Path, default=Path("results/c_equality.json"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        found = _compare_all(options)
    except (data.DataError, file.FileError, c.NoC, ImportError, OSError, ValueError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    print(table(("network", "images", "beyond", "explained", "farthest", "sums", "wrong"), map(_cells, found), align="lrrrrrr"))
    lines = [f"{row['network']}: {line}" for row in found for line in violations(row)]
    for line in lines:
        print(f"python -m lab.c_equality: {line}", file=sys.stderr)
    return 1 if lines else 0


def networks():
    """The packed networks of the checkout, each once: by its path that is no link."""
    paths = sorted(path for place in _PLACES for path in place.rglob("*.tfq") if not path.is_symlink())
    return list({path.read_bytes(): path for path in reversed(paths)}.values())[::-1]


def compare(graph, images, labels, sum_images, engine=None):
    """The figures of one network: a row of `lab.equality` of its C against the runtime, and its integer sums.

    Args:
        graph: the packed `Graph`.
        images: uint8 or float32, as the network takes them.
        labels: the right classes, (n,).
        sum_images: of the images, whose sums are compared.
        engine: function from a graph to what runs it. Default: `compile_`.
    """
    summed = [node for node in parts.products(graph) if parts.has_exact_sums(node)]
    runtime = by_network.Traced(graph, summed=summed)
    ours = by_network.Traced(graph, engine or compile_, summed)
    expected, logits = (_predict(traced.plain, images) for traced in (runtime, ours))
    largest = np.maximum(np.abs(expected).max(axis=1), np.finfo(np.float32).tiny)
    beyond = ~(np.abs(logits - expected).max(axis=1) <= TOLERANCE * largest)
    chosen = np.union1d(np.arange(sum_images), np.flatnonzero(beyond))
    where, distance = np.full(len(images), None), np.zeros(len(images))
    sums = _Sums(graph, summed)
    values = Values(graph)
    deviation = by_layer.deviations(values, graph, images[:sum_images])
    for part in by_layer.batches(len(chosen)):
        where[chosen[part]], distance[chosen[part]] = _trace(graph, values, runtime, ours, images[chosen[part]], deviation, sums)
    comparison = by_network.Comparison("C", traced=True)
    comparison.add(logits, expected, labels, list(where), distance)
    row = comparison.row()
    row["top1_runtime"] = row.pop("top1_keras")
    same = ours.same_without_trace and runtime.same_without_trace
    return {**row, "images_traced": len(chosen), **sums.row(), "same_without_trace": same}


def violations(row):
    """What is wrong in a row, a line each."""
    wrong = row["wrong_sums"]
    return by_network.violations(row) + (
        [f"{wrong:,} of {row['sums']:,} integer sums differ from the runtime's"] if wrong else []
    )


def compile_(graph):
    """The C of a graph, compiled with vectors."""
    with tempfile.TemporaryDirectory() as directory:
        written = c.write(graph, directory, "net", inputs=_one_input(graph))
        return compiled.Compiled(written.paths[0], _FLAGS)


class Values:
    """The runtime's own tensors, as `lab.equality.keras_values.Reference` gives those of Keras."""

    def __init__(self, graph):
        self._graph = graph

    def giving(self, names):
        """A function from images to the tensors of these names, and the logits last."""
        names = list(dict.fromkeys(names))
        graph, sizes = parts.shown(self._graph, names)
        engine, ends = Engine(graph), np.cumsum(sizes)

        def run(images):
            *flat, logits = np.split(engine.predict(images), ends, axis=1)
            shapes = [(len(images), *graph.shapes[name]) for name in names]
            return {name: x.reshape(shape) for name, x, shape in zip(names, flat, shapes, strict=True)}, logits

        return run


class _Sums:
    """Counts integer sums that differ, where the operation has read the same integers."""

    def __init__(self, graph, summed):
        order = [(site.source, site.quantizer) for site in parts.sites(graph)]
        # An operation reads the site of this number: its sums are compared on images whose first flip is behind it.
        self._reads = [order.index((node.inputs[0], node.quantizer)) for node in summed]
        self._images, self._sums, self._wrong = [0] * len(summed), 0, 0

    def add(self, found, expected, first):
        """Add the sums of images, one array an operation, and the number of each image's first site with a flip."""
        for index, (own, theirs, site) in enumerate(zip(found, expected, self._reads, strict=True)):
            same = first > site
            self._images[index] += int(same.sum())
            self._sums += own[same].size
            self._wrong += int((own[same] != theirs[same]).sum())

    def row(self):
        """The figures as a dictionary; None for the images where the network has no integer sums."""
        fewest = min(self._images) if self._images else None
        return {"sums": self._sums, "wrong_sums": self._wrong, "fewest_images_of_a_layer": fewest}


def _trace(graph, values, runtime, ours, images, deviation, sums):
    """For each image the site of its first flip, or None, and its distance from the boundary; its sums go into `sums`."""
    sites = parts.sites(graph)
    _, found = ours(images)
    _, expected = runtime(images)
    seen, _ = values.giving(site.source for site in sites)(images)
    count = len(sites)
    where, distance = by_network.first_flips(len(images), sites, found[:count], expected[:count], seen, deviation)
    names = [site.name for site in sites]
    first = np.array([count if site is None else names.index(site) for site in where])
    sums.add(found[count:], expected[count:], first)
    return where, distance


def _predict(engine, images):
    return engine.predict(images).reshape(len(images), -1)


def _compare_all(options):
    paths = options.networks or networks()
    if not paths:
        raise ValueError(f"there is no packed network in {' and '.join(map(str, _PLACES))}")
    dataset = data.load(options.dataset, options.data_dir, log=lambda line: None)
    images, labels = dataset.x_test[: options.images], dataset.y_test[: options.images]
    found = []
    for path in paths:
        graph, name = file.read(path), str(path)
        key = {"network": name, "c_sha256": _c_hash(graph), "images": len(images)}
        row = _known(options.json).get(name, {})
        if key.items() <= row.items():
            found.append(row)
            continue
        pixels = images if graph.pixel_mean is not None else Sample(None, dataset.mean, dataset.std).prepared(images)
        begin = time.perf_counter()
        row = {**key, **compare(graph, pixels, labels, min(options.sum_images, len(images)))}
        # Another process may have added rows meanwhile.
        known = {**_known(options.json), name: row}
        files.write_text(options.json, json.dumps([known[name] for name in sorted(known)], indent=1) + "\n")
        print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
        found.append(row)
    return found


def _known(path):
    """The rows of a file by the names of their networks."""
    return {row["network"]: row for row in (json.loads(path.read_text(encoding="utf-8")) if path.exists() else [])}


def _c_hash(graph):
    return hashlib.sha256(source_files(graph, "net", _one_input(graph))[0]["net.c"].encode()).hexdigest()


def _one_input(graph):
    """For the self-test, which is not what is tried here: more inputs would take longer."""
    return np.zeros((1, *graph.input_shape), np.float32 if graph.pixel_mean is None else np.uint8)


def _cells(row):
    explained = row["images_beyond_tolerance"] - row["beyond_tolerance_unexplained"]
    counts = (row["images"], row["images_beyond_tolerance"], explained)
    numbers = (*(f"{count:,}" for count in counts), f"{row['farthest']:.1e}", f"{row['sums']:,}", f"{row['wrong_sums']:,}")
    return (row["network"], *numbers)


if __name__ == "__main__":
    sys.exit(main())
