"""One network on several devices or machines: the engines of TensorFlow and JAX, one class each."""

import importlib

from tfq.distribute.alone import Alone, DistributionError, WorkerLost

__all__ = ["Alone", "DistributionError", "WorkerLost", "engine"]

# Of their own modules, since each imports its backend.
_ENGINES = {
    "none": ("alone", "Alone"),
    "mirrored": ("mirrored", "Mirrored"),
    "data_parallel": ("data_parallel", "DataParallel"),
}


def engine(name: str) -> Alone:
    """The engine that `--distribute` names, started: in a job of several processes it has waited for all of them.

    Args:
        name: one of `tfq.choices.DISTRIBUTIONS`.

    Raises:
        DistributionError: the environment does not describe a job that it can start.
    """
    module, cls = _ENGINES[name]
    return getattr(importlib.import_module(f"tfq.distribute.{module}"), cls)()
