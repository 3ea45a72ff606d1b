"""Files of export formats as engines."""

from collections.abc import Callable
from pathlib import Path

from tfq.export.formats import FORMATS


def lce(path: Path, threads: int) -> Callable:
    """What a file of larq-compute-engine computes."""
    return FORMATS["lce"].load(path, threads)


def tflite(path: Path, threads: int) -> Callable:
    """What a TFLite file computes, with float32 or int8 inside."""
    return FORMATS["tflite"].load(path, threads)
