"""`python -m lab.benchmark train`: training throughput on resnet20, of our layers, stock Keras and larq.

Each network trains in a process of its own (larq needs tf_keras, which a process has to choose before TensorFlow starts), one at
a time, in turns. What counts is the median of the turns; the ratio is that to the first network of the run, by default the float
one of stock Keras 3. All multiply in float32 but those of `bfloat16`, which train as `train.py --bfloat16` does.
"""

import argparse
import json
import statistics

from lab.benchmark import needs
from tfq import files
from tfq.arguments import integer, output_file
from tfq.speed.worker import Worker
from tfq.terminal import progress, table

BASELINE = "keras3_float_stock"

# Each network and whether it runs on tf_keras.
NETWORKS = {
    BASELINE: False,
    "tfq_float": False,
    "tfq_xnor": False,
    "tfq_dorefa_a2w2": False,
    "tfq_float_bfloat16": False,
    "tfq_xnor_bfloat16": False,
    "tfkeras_float": True,
    "larq_sign": True,
    "larq_xnor": True,
}

# What must hold: (network, reference, least ratio).
TARGETS = (
    ("tfq_float_bfloat16", BASELINE, 2.7),
    ("tfq_xnor_bfloat16", BASELINE, 2.7),
    ("tfq_xnor", BASELINE, 1.5),
    ("tfq_xnor", "larq_xnor", 1.0),
    ("tfq_dorefa_a2w2", "tfq_float", 0.9),
)


def _worker(name, batch_size, steps):
    environment = {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "1" if NETWORKS[name] else "0"}
    worker = Worker("lab.benchmark.train_worker:Trainer", name, batch_size, steps, environment=environment)
    worker.call("turn")  # the first turn compiles
    return worker


def main(arguments):
    """Measure, print a table, and write the rows where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark train", description=__doc__.splitlines()[0])
    help_json = "write the rows {name, samples_per_s, ratio} here; those of other networks in the file stay"
    parser.add_argument("--json", metavar="PATH", type=output_file, help=help_json)
    parser.add_argument("--repetitions", type=integer(), default=5, help="turns of each network (default 5)")
    parser.add_argument("--steps", type=integer(2), default=8, help="training steps a turn (2 or more; default 8)")
    parser.add_argument("--batch_size", type=integer(), default=128, help="images a step (default 128)")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="these networks alone")
    options = parser.parse_args(arguments)
    needs.checkout(parser)
    needs.installed_tensorflow(parser)
    medians = _measure(options)
    rows = [{"name": name, "samples_per_s": rate, "ratio": rate / medians[options.only[0]]} for name, rate in medians.items()]
    cells = [(row["name"], f"{row['samples_per_s']:.1f}", f"{row['ratio']:.3f}x") for row in rows]
    print(table(("network", "images/s", "ratio"), cells))
    _print_targets(medians)
    if options.json:
        files.write_text(options.json, json.dumps(_with_others(rows, options.json), indent=2) + "\n")
    return 0


def _with_others(rows, path):
    """The rows in the order of `NETWORKS`, and those that the file has of networks that were not measured."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    named = {row["name"]: row for row in (*found, *rows)}
    return [named[name] for name in NETWORKS if name in named]


def _measure(options):
    workers = {name: _worker(name, options.batch_size, options.steps) for name in options.only}
    rates = {name: [] for name in workers}
    with progress("training", options.repetitions * len(workers)) as done:
        for _ in range(options.repetitions):
            for name, worker in workers.items():
                rates[name].append(worker.call("turn"))
                done(1)
    for worker in workers.values():
        worker.close()
    return {name: statistics.median(values) for name, values in rates.items()}


def _print_targets(medians):
    for name, reference, least in TARGETS:
        if name in medians and reference in medians:
            ratio = medians[name] / medians[reference]
            print(f"{name} / {reference}: {ratio:.3f}, target {least}: {'met' if ratio >= least else 'MISSED'}")
