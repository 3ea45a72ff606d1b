"""`python -m lab.sweep zoo`: the accuracy of each packed network of the table, measured from its file."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from lab.sweep import result
from tfq import files

FILE = "zoo.json"  # under the results
_NEEDED = {"model", "method", "recipe", "tag", "bytes", "runtime_top1"}


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.sweep zoo", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--results", type=Path, default=Path("results/sweep"), help="where the runs' JSON files are")
    parser.add_argument("--dataset", default="cifar10", help="default: %(default)s")
    parser.add_argument("--data_dir", help="where the data set is, if it is not to be found in the cache or fetched")
    parser.add_argument("--runtime_only", action="store_true", help="do not measure the Keras models of the files")
    options = parser.parse_args(arguments)
    from tfq import data  # here, since `lab.sweep.table` needs no Keras to read the file

    try:
        pairs = [(path, made) for path, made in _runs(options.results) if network_of(path).exists()]
        if not pairs:
            raise result.ResultError(f"--results={options.results} has no packed network: a sweep leaves one for each run")
        dataset = data.load(options.dataset, options.data_dir)
        _check_dataset(pairs, options.dataset)
        rows = [_measure(path, made, dataset, options) for path, made in pairs]
        files.write_text(options.results / FILE, json.dumps(rows, indent=1) + "\n")
    except (result.ResultError, data.DataError, ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.results / FILE)
    return 0


def network_of(path):
    """The packed network that belongs to the JSON file of a run."""
    return path.parent / "networks" / f"{path.stem}.tfq"


def read(results):
    """What the command wrote; empty before it ran."""
    file = Path(results) / FILE
    rows = result.read_json(file) if file.exists() else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= _NEEDED for row in rows):
        raise result.ResultError(f"{file} is not what `python -m lab.sweep zoo` writes: run it again")
    return rows


def _runs(results):
    if not results.is_dir():
        raise result.ResultError(f"--results={results} is no directory")
    return [(path, result.read(path)) for path in sorted(results.glob("*/[!.]*.json"))]


def _check_dataset(pairs, dataset):
    """Raise before a figure of other images takes the place of one that stands in the table."""
    for path, made in pairs:
        if made["flags"].get("dataset", dataset) != dataset:
            raise result.ResultError(f"--dataset={dataset}: the network of {path} was trained on {made['flags']['dataset']}")


def _measure(path, made, dataset, options):
    from tfq import runtime

    network = network_of(path)
    engine = runtime.load(network, threads=2)
    row = {
        **{name: made[name] for name in ("model", "method", "recipe", "tag", "seed")},
        "file": network.relative_to(options.results).as_posix(),
        "bytes": network.stat().st_size,
        "best_top1": made["best_top1"],
        "runtime_top1": _top1(engine.predict(dataset.x_test), dataset.y_test),
    }
    if not options.runtime_only:
        row["keras_top1"] = _keras_top1(network, engine.graph, dataset)
    measured = [f"{name} {value}" for name, value in row.items() if name.endswith("top1")]
    print(f"{network}, {row['bytes']} bytes: {', '.join(measured)}", flush=True)
    return row


def _keras_top1(network, graph, dataset):
    from tfq import data, load_packed
    from tfq.backend.rounding import exact_products

    batches = data.Batches(dataset.x_test, dataset.y_test, 500, graph.pixel_mean, graph.pixel_std)
    model = load_packed(network)
    with exact_products():
        logits = [np.asarray(model.predict_on_batch(batches[index][0])) for index in range(len(batches))]
    return _top1(np.concatenate(logits), dataset.y_test)


def _top1(logits, labels):
    """In %."""
    return round(100 * float(np.mean(np.argmax(logits, axis=-1) == labels)), 3)
