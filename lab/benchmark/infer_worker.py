"""What the benchmarks of inference ask of a file on an engine, within the process that measures it."""

import re
from pathlib import Path

import numpy as np

from tfq.speed.subject import Subject

_OPENVINO = "lab.benchmark.openvino_model:load"
# Names of the engines in the rows, and of those that run the files.
ENGINES = {
    **{"tfq": "tfq", "lce": "lce", "tflite_float32": "tflite", "tflite_int8": "tflite", "keras": "keras"},
    **{"openvino_float32": _OPENVINO, "openvino_int8": _OPENVINO},
}


class Measured(Subject):
    """A file on an engine, with what these benchmarks measure beside its time.

    Args:
        engine: a key of `ENGINES`; what may follow behind a blank only tells rows apart.
        threads: that it may use.
    """

    def __init__(self, engine, threads):
        super().__init__(ENGINES[engine.partition(" ")[0]], threads)

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
        # By hand: psutil tells a peak on Windows alone, and `ru_maxrss` a process takes over from the one that started it.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) / 1024
