"""`python -m lab.benchmark memory`: the memory and the time of a training step of XNOR resnet20, as it is and with `keep_bits`.

TensorFlow, on a processor, which has no count of its own: what counts is the most anonymous memory that a process of its own has
while it trains. Times are of both in turns.
"""

import argparse
import json
import statistics
import threading
import time

import psutil

from lab.benchmark import needs
from lab.benchmark.train_worker import Trainer
from tfq import files, layers
from tfq.arguments import integer, output_file
from tfq.speed.worker import Worker
from tfq.terminal import progress, table

KEYS = ("keeps", "batch_size", "before_mb", "peak_mb", "images_per_second", "peak_ratio", "speed_ratio")
VARIANTS = {"floats": False, "bits": True}
# Of what it is with floats: the most memory, the least speed.
MOST_MEMORY, LEAST_SPEED = 0.75, 0.97


def main(arguments) -> int:
    """Measure, print a table, and write the rows where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark memory", description=__doc__.splitlines()[0])
    parser.add_argument("--batch_size", type=integer(), default=512, help="images a step (default 512)")
    parser.add_argument("--steps", type=integer(2), default=2, help="of a turn (default 2)")
    parser.add_argument("--turns", type=integer(), default=5, help="of each (default 5)")
    parser.add_argument("--json", metavar="PATH", type=output_file, help=f"write the rows {{{', '.join(KEYS)}}} here")
    options = parser.parse_args(arguments)
    needs.tensorflow(parser)
    rows = _measure(options)
    cells = [(row["keeps"], *(f"{row[key]:.0f}" for key in KEYS[2:4]), *(f"{row[key]:.3f}" for key in KEYS[4:])) for row in rows]
    print(table(("keeps", "before, MB", "peak, MB", "images/s", "of peak", "of speed"), cells, align="lrrrrr"))
    bits = rows[-1]
    met = bits["peak_ratio"] <= MOST_MEMORY and bits["speed_ratio"] >= LEAST_SPEED
    print(f"memory at most {MOST_MEMORY}, speed at least {LEAST_SPEED}: {'met' if met else 'MISSED'}")
    if options.json:
        files.write_text(options.json, json.dumps(rows, indent=2) + "\n")
    return 0


class Measured:
    """A network that trains, and the memory of its process.

    Args:
        batch_size: images a step.
        steps: of a turn.
        keeps_bits: whether under `keep_bits`.
    """

    def __init__(self, batch_size: int, steps: int, keeps_bits: bool) -> None:
        self._trainer = Trainer("tfq_xnor", batch_size, steps)
        self._before = self._peak = _anonymous()
        self._watching = True
        watch = threading.Thread(target=self._watch, daemon=True)
        watch.start()
        if keeps_bits:
            with layers.keep_bits():
                self._trainer.turn()
        else:
            self._trainer.turn()
        self._watching = False
        watch.join()

    def memory(self) -> tuple[float, float]:
        """Megabytes before the first turn, which compiles, and the most in it."""
        return self._before, self._peak

    def turn(self) -> float:
        """Images per second of the steps of a turn."""
        return self._trainer.turn()

    def _watch(self):
        while self._watching:
            self._peak = max(self._peak, _anonymous())
            time.sleep(0.005)


def _anonymous():
    used = psutil.Process().memory_info()
    return (used.rss - used.shared) / 1e6


def _measure(options):
    environment = {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "0"}
    workers = {}
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with progress("training", len(VARIANTS) * (1 + options.turns)) as done:
        for name, keeps_bits in VARIANTS.items():
            what = "lab.benchmark.memory:Measured"
            workers[name] = Worker(what, options.batch_size, options.steps, keeps_bits, environment=environment)
            done(1)
        for _ in range(options.turns):
            for name, worker in workers.items():
                rates[name].append(worker.call("turn"))
                done(1)
    memory = {name: worker.call("memory") for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    speed = {name: statistics.median(values) for name, values in rates.items()}
    return [_row(name, options.batch_size, memory, speed) for name in VARIANTS]


def _row(name, batch_size, memory, speed):
    ratios = memory[name][1] / memory["floats"][1], speed[name] / speed["floats"]
    return dict(zip(KEYS, (name, batch_size, *memory[name], speed[name], *ratios), strict=True))
