"""`python -m lab.benchmark feed`: images a second that a resnet20 trains on JAX, with batches of the host and of the device.

Both networks train in one process, an epoch each in turns, augmentation included; the first turn, which compiles, does not count.
"""

import argparse
import contextlib
import json
import statistics
import time

import numpy as np

from lab.benchmark import needs
from models.methods import METHODS
from tfq import callbacks, data
from tfq.arguments import integer, output_file
from tfq.backend.devices import accelerators
from tfq.backend.keras import backend, keras

WAYS = ("host", "device")
_METHODS = [name for name, method in METHODS.items() if method.needs_no_flag]


def main(arguments):
    """Measure, print a line a way, and write the figures where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m lab.benchmark feed", description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="PATH", type=output_file, help="write the figures here")
    parser.add_argument("--method", default="xnor", choices=_METHODS, help="default: xnor")
    parser.add_argument("--repetitions", type=integer(), default=3, help="turns of each way (default 3)")
    parser.add_argument("--images", type=integer(), default=50000, help="images an epoch (default 50000)")
    parser.add_argument("--batch_size", type=integer(), default=128, help="images a step (default 128)")
    parser.add_argument("--steps_per_execution", type=integer(), default=30, help="steps a call (default 30)")
    parser.add_argument("--bfloat16", action="store_true", help="train as train.py --bfloat16 does")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS), help="these ways alone")
    options = parser.parse_args(arguments)
    needs.checkout(parser)
    if backend != "jax":
        parser.exit(2, f"python -m lab.benchmark feed: is for KERAS_BACKEND=jax; got {backend}\n")
    rates = _measure(options)
    medians = {way: statistics.median(values) for way, values in rates.items()}
    for way, rate in medians.items():
        print(
            f"{way:<8} {rate:10.0f} images/s {rate / medians[options.only[0]]:6.2f}x   {[round(value) for value in rates[way]]}"
        )
    if options.json:
        made = {name: value for name, value in vars(options).items() if name != "json"}
        report = {**made, "accelerators": accelerators(), "images_per_s": rates, "median": medians}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _measure(options):
    rates = {way: [] for way in options.only}
    with contextlib.ExitStack() as stack:
        fits = {way: _trainer(way, options, stack) for way in options.only}
        for turn in range(options.repetitions + 1):
            for way, fit in fits.items():
                seconds = fit(turn)
                if turn:
                    rates[way].append(options.images / seconds)
    return rates


def _trainer(way, options, stack):
    """The function that trains one epoch more and gives its seconds."""
    import models

    model = models.build("resnet20", method=options.method)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"], steps_per_execution=options.steps_per_execution)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (options.images, 32, 32, 3), dtype=np.uint8)
    y = rng.integers(0, 10, options.images)
    batches = data.Batches(x, y, options.batch_size, [0.5] * 3, [0.25] * 3, crop=True, flip=True, shuffle=True)
    few = data.Batches(x[:16], y[:16], 16, [0.5] * 3, [0.25] * 3)
    timer = _Timer()
    used = [timer, callbacks.DataEpoch(batches), *([callbacks.Bfloat16Training()] if options.bfloat16 else [])]
    given = stack.enter_context(data.feeding(model, batches, few)).images if way == "device" else data.feed(batches)

    def fit(epoch):
        model.fit(given, initial_epoch=epoch, epochs=epoch + 1, shuffle=False, verbose=0, callbacks=used)
        return timer.seconds

    return fit


class _Timer(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        float(logs["loss"])  # waits for the device
        self.seconds = time.perf_counter() - self._started
