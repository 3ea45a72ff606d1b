"""A Keras model as an engine: it needs TensorFlow."""

from collections.abc import Callable
from pathlib import Path

from tfq.backend.keras import keras
from tfq.optional import require


def load(path: Path, threads: int) -> Callable:
    """The function from a batch of images to results; the number of threads is fixed by the first file of a process."""
    threading = require("tensorflow").config.threading
    if threading.get_intra_op_parallelism_threads() != threads:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(1)
    return keras.models.load_model(path).predict_on_batch
