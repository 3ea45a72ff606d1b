"""Runs one file on one engine for the inference benchmark; each line on standard input says what to measure.

`time BATCH CALLS` answers with the milliseconds of each call, `top1` with the share of right answers, `profile` with the time of
each step (tfq alone), `memory` with the peak of this process in MiB.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def main():
    """Answer each line."""
    engine, path, images, labels, threads = sys.argv[1:]
    images, labels = np.load(images), np.load(labels)
    predict = _LOADERS[engine](path, int(threads))
    for line in sys.stdin:
        what, *numbers = line.split()
        print(json.dumps(_ANSWERS[what](predict, images, labels, *map(int, numbers))), flush=True)


def _time(predict, images, labels, batch, calls):
    images = np.ascontiguousarray(images[:batch])
    predict(images)
    seconds = []
    for _ in range(calls):
        started = time.perf_counter()
        predict(images)
        seconds.append(time.perf_counter() - started)
    return [1e3 * value for value in seconds]


def _top1(predict, images, labels):
    parts = [predict(images[first : first + 100]).argmax(axis=1) for first in range(0, len(images), 100)]
    return float(np.mean(np.concatenate(parts) == labels))


def _profile(predict, images, labels):
    return predict.__self__.profile(images[:1], repeats=200)


def _memory(predict, images, labels):
    # Not `ru_maxrss`: a process takes that over from the one that started it.
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _tfq(path, threads):
    from tfq import runtime

    return runtime.load(path, threads).predict


def _tflite(path, threads):
    from tfq.export import tflite

    return tflite.load(path, threads)


def _lce(path, threads):
    from tfq.export import lce

    return lce.load(path, threads)


def _keras(path, threads):
    from tfq.compat import keras, require

    threading = require("tensorflow").config.threading
    threading.set_intra_op_parallelism_threads(threads)
    threading.set_inter_op_parallelism_threads(1)
    return keras.models.load_model(path).predict_on_batch


_LOADERS = {"tfq": _tfq, "lce": _lce, "tflite_float32": _tflite, "tflite_int8": _tflite, "keras": _keras}
_ANSWERS = {"time": _time, "top1": _top1, "profile": _profile, "memory": _memory}


if __name__ == "__main__":
    main()
