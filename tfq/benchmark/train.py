"""`python -m tfq.benchmark train`: training throughput on resnet20, of our layers, stock Keras and larq.

Each network trains in a process of its own (larq needs tf_keras, which a process has to choose before TensorFlow starts), one at
a time, in turns. What counts is the median of the turns; the ratio is that to the stock Keras 3 float network.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

BASELINE = "keras3_float_stock"

# Each network and whether it runs on tf_keras.
NETWORKS = {
    BASELINE: False,
    "tfq_float": False,
    "tfq_xnor": False,
    "tfq_dorefa_a2w2": False,
    "tfkeras_float": True,
    "larq_sign": True,
    "larq_xnor": True,
}

# What must hold: (network, reference, least ratio).
TARGETS = (("tfq_xnor", BASELINE, 1.5), ("tfq_xnor", "larq_xnor", 0.95), ("tfq_dorefa_a2w2", "tfq_float", 0.9))


class Worker:
    """A process that trains one network for some steps each time it is asked."""

    def __init__(self, name, batch_size, steps):
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["TF_USE_LEGACY_KERAS"] = "1" if NETWORKS[name] else "0"
        command = [sys.executable, "-m", "tfq.benchmark.train_worker", name, str(batch_size), str(steps)]
        self.process = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.measure()  # the first turn compiles

    def measure(self):
        """Images per second of one turn."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args)} ended with status {self.process.wait()}")
        return float(line)

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def main(arguments):
    """Measure, print a table, and write the rows where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m tfq.benchmark train", description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="PATH", type=Path, help="write the rows {name, samples_per_s, ratio} here")
    parser.add_argument("--repetitions", type=int, default=5, help="turns of each network (default 5)")
    parser.add_argument("--steps", type=int, default=8, help="training steps a turn (default 8)")
    parser.add_argument("--batch_size", type=int, default=128, help="images a step (default 128)")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="these networks alone")
    options = parser.parse_args(arguments)
    if not Path("models").is_dir():
        parser.exit(2, "python -m tfq.benchmark train: needs the networks in models/: run it in a checkout of tfq\n")
    medians = _measure(options)
    rows = [{"name": name, "samples_per_s": rate, "ratio": rate / medians[options.only[0]]} for name, rate in medians.items()]
    for row in rows:
        print(f"{row['name']:<20} {row['samples_per_s']:8.1f} images/s {row['ratio']:7.3f}x")
    _print_targets(medians)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def _measure(options):
    workers = {name: Worker(name, options.batch_size, options.steps) for name in options.only}
    rates = {name: [] for name in workers}
    for _ in range(options.repetitions):
        for name, worker in workers.items():
            rates[name].append(worker.measure())
    for worker in workers.values():
        worker.close()
    return {name: statistics.median(values) for name, values in rates.items()}


def _print_targets(medians):
    for name, reference, least in TARGETS:
        if name in medians and reference in medians:
            ratio = medians[name] / medians[reference]
            print(f"{name} / {reference}: {ratio:.3f}, target {least}: {'met' if ratio >= least else 'MISSED'}")
