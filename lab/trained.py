"""The trained network that a benchmark looks at: the directory of a run, or the JSON file that a sweep left of one."""

from lab.sweep import result, zoo
from tfq.convert.to_keras import to_keras
from tfq.export import run
from tfq.graph import file
from tfq.training.checkpoint import CheckpointError
from tfq.training.run_directory import RunDirectory

# What is wrong with a path that a user gave; each is one line.
ERRORS = (run.RunError, result.ResultError, file.FileError, CheckpointError)


def flags(path):
    """The flags that it was trained with, as texts; empty where there are none.

    Args:
        path: directory of a run of train.py, or JSON file in `results/sweep`.

    Raises:
        ResultError: the JSON file is no result of a sweep.
    """
    return result.read(path)["flags"] if _of_sweep(path) else RunDirectory(path).read_flags() or {}


def network(path):
    """Its best network as a Keras model, with mean and deviation of its pixels, None where they are not known.

    Of a sweep's run that is the packed one beside the JSON file: what is there without training.

    Args:
        path: as `flags` takes it.

    Raises:
        One of `ERRORS`: there is none, or it cannot be read.
    """
    if not _of_sweep(path):
        model, _, mean, std = run.read(path, images=())
        return model, mean, std
    packed = zoo.network_of(path)
    if not packed.is_file():
        raise result.ResultError(f"{path} has no packed network: there is no {packed}")
    graph = file.read(packed)
    return to_keras(graph), graph.pixel_mean, graph.pixel_std


def check_data(path, dataset):
    """Raise RunError where a `tfq.data.Dataset` is not the one that the run was trained on, as far as that is known.

    Args:
        path: as `flags` takes it.
        dataset: the data set.
    """
    if not _of_sweep(path):
        run.check_data(path, dataset)


def _of_sweep(path):
    return path.suffix == ".json"
