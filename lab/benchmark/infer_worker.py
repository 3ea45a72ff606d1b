"""Runs files on one engine for the benchmarks of inference; each line on standard input is a list in JSON that says what to do.

The first is always a "load". See the methods of `Subject` for the names and what follows them.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def main():
    """Answer each line."""
    engine, threads = sys.argv[1:]
    subject = Subject(engine, int(threads))
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(getattr(subject, what)(*arguments)), flush=True)


class Subject:
    """What is measured: a file on an engine.

    Args:
        engine: a key of `_LOADERS`.
        threads: that it may use.
    """

    def __init__(self, engine, threads):
        self._load, self._threads = _LOADERS[engine], threads

    def load(self, path, images):
        """Take a file, and images for it (`.npy`); ends with the first result."""
        self._images = np.load(images)
        self._predict = self._load(path, self._threads)
        self._predict(self._images[:1])

    def time(self, batch, calls):
        """Milliseconds of each call."""
        images = np.ascontiguousarray(self._images[:batch])
        self._predict(images)
        return [1e3 * _seconds(self._predict, images) for _ in range(calls)]

    def top1(self, labels):
        """Share of right answers, by the labels (`.npy`) of the images."""
        parts = [self._predict(self._images[first : first + 100]) for first in range(0, len(self._images), 100)]
        return float(np.mean(np.concatenate(parts).argmax(axis=1) == np.load(labels)))

    def profile(self):
        """Of tfq alone: (name, path, seconds) of each step."""
        return self._predict.__self__.profile(self._images[:1], repeats=200)

    def convolution(self, calls):
        """Of tfq alone: milliseconds of the first convolution, without what packs its inputs, in each of some calls."""
        engine = self._predict.__self__
        first = engine.layers()[0]
        profiles = [engine.profile(self._images[:1], repeats=1) for _ in range(calls)]
        return [1e3 * sum(seconds for *label, seconds in steps if tuple(label) == first) for steps in profiles]

    def memory(self):
        """Peak of this process in MiB."""
        # Not `ru_maxrss`: a process takes that over from the one that started it.
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _seconds(predict, images):
    begin = time.perf_counter()
    predict(images)
    return time.perf_counter() - begin


def _tfq(path, threads):
    from tfq import runtime

    return runtime.load(path, threads).predict


def _tflite(path, threads):
    from tfq.export import FORMATS

    return FORMATS["tflite"].load(path, threads)


def _lce(path, threads):
    from tfq.export import FORMATS

    return FORMATS["lce"].load(path, threads)


def _keras(path, threads):
    from tfq.backend.keras import keras
    from tfq.optional import require

    threading = require("tensorflow").config.threading
    # Fixed by the first file.
    if threading.get_intra_op_parallelism_threads() != threads:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(1)
    return keras.models.load_model(path).predict_on_batch


_LOADERS = {"tfq": _tfq, "lce": _lce, "tflite_float32": _tflite, "tflite_int8": _tflite, "keras": _keras}


if __name__ == "__main__":
    main()
