"""A network file on an engine, and what can be measured of it within one process."""

import pkgutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfq import optional

# Each engine, and where the function is that gives its `predict` of (path, number of threads). By text: only those that are
# measured are imported, since a machine that runs packed networks has neither Keras nor what is behind the others.
ENGINES = {
    "tfq": "tfq.speed.subject:_tfq",
    "lce": "tfq.export.formats.lce:LarqComputeEngine.load",
    "tflite": "tfq.export.formats.tflite:TFLite.load",
    "keras": "tfq.speed.keras_model:load",
}
# Of LCE's operations, in the files that its converter writes; TFLite alone cannot run them.
_MARK_OF_LCE = b"LceBconv2d"


def engine_of(path: Path) -> str:
    """The engine that runs a file, by its ending and, of a `.tflite` file, by the operations in it.

    Raises:
        ValueError: the ending is that of none.
        OSError: the file cannot be read.
    """
    if path.suffix == ".tflite":
        return "lce" if _MARK_OF_LCE in path.read_bytes() else "tflite"
    by_ending = {".tfq": "tfq", ".keras": "keras"}
    if path.suffix not in by_ending:
        raise ValueError(f"{path} must end with .tfq, .tflite or .keras")
    return by_ending[path.suffix]


class Subject:
    """What is measured: a file on an engine.

    Args:
        engine: a key of `ENGINES`, or where another such function is.
        threads: that it may use.
    """

    def __init__(self, engine: str, threads: int) -> None:
        self._load, self._threads = _loader(engine), threads

    def load(self, path: Path, images: Path) -> None:
        """Take a file, and images for it (`.npy`); ends with the first result."""
        self._images = np.load(images)
        self._predict = self._load(path, self._threads)
        self._predict(self._images[:1])

    def time(self, batch: int, calls: int) -> list[float]:
        """Milliseconds of each call with so many images; there is one call more in front, which does not count."""
        images = np.ascontiguousarray(self._images[:batch])
        self._predict(images)
        return [1e3 * _seconds(self._predict, images) for _ in range(calls)]


def _loader(engine: str) -> Callable:
    try:
        return pkgutil.resolve_name(ENGINES.get(engine, engine))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "tfq":
            raise ImportError(optional.missing(error.name or engine, f"the engine {engine}")) from error
        raise ImportError(f"the engine {engine} needs the whole of tfq, beside its runtime: pip install tfq") from error


def _seconds(predict, images):
    begin = time.perf_counter()
    predict(images)
    return time.perf_counter() - begin


def _tfq(path, threads):
    from tfq import runtime

    return runtime.load(path, threads).predict
