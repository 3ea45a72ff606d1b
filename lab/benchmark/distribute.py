"""`python -m lab.benchmark distribute`: training throughput on JAX of one process on two cores, and of two with a core each.

Both train the same network with the same global batch, an epoch each in turns, augmentation included. The first turn, which
compiles, does not count. XLA has as many threads as its process may use cores, so each of the two is kept to one.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from lab.benchmark import needs
from models.methods import METHODS
from tfq.arguments import integer, output_file
from tfq.backend.keras import backend
from tfq.speed.worker import Worker
from tfq.training import hardware

# What two processes must reach of the images a second of one.
TARGET = 0.9
_METHODS = [name for name, method in METHODS.items() if method.needs_no_flag]


def main(arguments):
    """Measure, print a line a way, and write the figures where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark distribute", description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="PATH", type=output_file, help="write the figures here")
    parser.add_argument("--method", default="xnor", choices=_METHODS, help="default: xnor")
    parser.add_argument("--repetitions", type=integer(), default=3, help="turns of each way (default 3)")
    parser.add_argument("--steps", type=integer(), default=10, help="steps a turn (default 10)")
    parser.add_argument("--batch_size", type=integer(2), default=128, help="images a step, of all processes (default 128)")
    parser.add_argument("--depth", type=integer(8), default=20, help="layers of the network (default 20)")
    options = parser.parse_args(arguments)
    needs.checkout(parser)
    if backend != "jax" or len(cores()) < 2:
        got = f"{backend} and {len(cores())}"
        parser.exit(2, f"python -m lab.benchmark distribute: is for KERAS_BACKEND=jax and two cores; got {got}\n")
    rates = _measure(options)
    medians = {way: statistics.median(values) for way, values in rates.items()}
    ratio = medians["two"] / medians["one"]
    for way, rate in medians.items():
        print(f"{way:<4} {rate:8.1f} images/s   {[round(value, 1) for value in rates[way]]}")
    print(f"two / one: {ratio:.3f}, target {TARGET}: {'met' if ratio >= TARGET else 'MISSED'}")
    if options.json:
        made = {name: value for name, value in vars(options).items() if name != "json"}
        report = {**made, "hardware": hardware.describe(()), "images_per_s": rates, "ratio": ratio}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def cores():
    """Those that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _measure(options):
    first, second = cores()[:2]
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = options.method, options.depth, options.batch_size, options.steps
    jobs = {
        "one": [_worker([first, second], {}, settings)],
        "two": [_worker([core], _place(number, address), settings) for number, core in enumerate((first, second))],
    }
    rates = {way: [] for way in jobs}
    for turn in range(options.repetitions + 1):
        for way, workers in jobs.items():
            rate = _together(workers, turn)
            if turn:
                rates[way].append(rate)
    for workers in jobs.values():
        _at_once(workers, lambda worker: worker.close())  # at its end a process of a job waits for the others
    return rates


def _worker(of_process, place, settings):
    environment = {"KERAS_BACKEND": "jax"}
    return Worker("lab.benchmark.distribute:Trainer", of_process, place, *settings, environment=environment)


def _place(number, address):
    values = {"JOB_ADDRESSES": address, "NUM_PROCESSES": "2", "PROCESS_ID": str(number)}
    return {f"KERAS_DISTRIBUTION_{name}": value for name, value in values.items()}


def _together(workers, turn):
    """Images a second of a turn that all begin at once; it ends with the slower one."""
    return min(_at_once(workers, lambda worker: worker.call("turn", turn)))


def _at_once(workers, function):
    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(function, workers))


class Trainer:
    """A process of a job; it meets the others in its first turn.

    Args:
        of_process: cores that it may use.
        place: variables that say where in a job of several processes it is; none where it is alone.
        method, depth, batch_size, steps: of the command.
    """

    def __init__(self, of_process, place, method, depth, batch_size, steps):
        os.sched_setaffinity(0, of_process)  # before JAX counts them
        os.environ.update(place)
        self._engine = "data_parallel" if place else "none"
        self._method, self._depth, self._batch_size, self._images = method, depth, batch_size, batch_size * steps
        self._fit = None
        # Open until the process ends: what feeding gives the model is compiled once.
        self._stack = contextlib.ExitStack()

    def cores(self):
        """Those that it may use."""
        return cores()

    def turn(self, number):
        """Images a second of an epoch."""
        self._fit = self._fit or self._made()
        return self._images / self._fit(number)

    def _made(self):
        import numpy as np

        import models
        from tfq import callbacks, data, distribute
        from tfq.backend.keras import keras

        engine = distribute.engine(self._engine)
        with engine.scope():
            model = models.build("resnet20", method=self._method, depth=self._depth)
            engine.synchronize(model)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(0.001), loss, **engine.metrics(["accuracy"]))
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, (self._images, 32, 32, 3), dtype=np.uint8)
        y = rng.integers(0, 10, self._images)
        batches = data.Batches(x, y, self._batch_size, [0.5] * 3, [0.25] * 3, crop=True, flip=True, shuffle=True)
        few = data.Batches(x[: self._batch_size], y[: self._batch_size], self._batch_size, [0.5] * 3, [0.25] * 3)
        seconds = []

        def begin(epoch, logs):
            seconds.append(-time.perf_counter())

        def end(epoch, logs):
            float(logs["loss"])  # waits for the last step
            seconds[-1] += time.perf_counter()

        images = self._stack.enter_context(engine.feeding(model, batches, few)).images
        used = [keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end), callbacks.DataEpoch(batches)]

        def fit(epoch):
            with engine.scope():
                model.fit(images, initial_epoch=epoch, epochs=epoch + 1, shuffle=False, verbose=0, callbacks=used)
            return seconds[-1]

        return fit
