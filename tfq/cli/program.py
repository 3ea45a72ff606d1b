"""The training program behind train.py: data, network, `model.fit`, and what is left behind."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable

import numpy as np

from tfq import data, distribute, export, plot
from tfq.backend.devices import enable_determinism
from tfq.backend.keras import keras
from tfq.backend.rounding import exact_products
from tfq.backend.settings import plain_settings
from tfq.cli import fitting
from tfq.cli.config import TrainingConfig
from tfq.cli.fitting import log
from tfq.data.dataset import Dataset
from tfq.summary import summarize
from tfq.training import checkpoint, run_data, teacher, transfer
from tfq.training.history import History
from tfq.training.lines import duration
from tfq.training.run_directory import RunDirectory, RunDirectoryError

EXPORT_IMAGES = 256
# Of a disk that is full, read-only, or out of order; the last three come when reading, too.
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


class TrainingStopped(RuntimeError):
    """Training ended before its time; the message says why."""


# What a user can come upon; each is one line. Anything else is a mistake of ours, and keeps its traceback.
ERRORS = (
    TrainingStopped,
    RunDirectoryError,
    checkpoint.CheckpointError,
    transfer.TransferError,
    data.DataError,
    export.ExportError,
    export.ExportMismatch,
    export.Unsupported,
    ImportError,
    distribute.DistributionError,
)


@plain_settings(log)
@exact_products()
def run(config: TrainingConfig, backend: str, directory: RunDirectory, build: Callable[..., keras.Model]) -> None:
    """Train or test as the flags of train.py say, in float32 but for what `--bfloat16` allows.

    Args:
        config: what they say.
        backend: name of the backend in use.
        directory: the `RunDirectory`.
        build: the function that makes the network, `models.build`.

    Raises:
        One of `ERRORS`, with a message for the user.
    """
    # Before anything is computed: it joins the workers.
    engine = distribute.engine("none" if config.evaluate else config.distribute)
    if config.deterministic:
        enable_determinism()
    keras.utils.set_random_seed(config.seed)
    if engine.is_chief:
        _run(config, backend, directory, build, engine)
        return
    # Some of a distributed state is read by all or none: what the chief writes the others write too, and throw away.
    with tempfile.TemporaryDirectory() as own, open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        _run(config, backend, directory.copy(own), build, engine)


def _run(config, backend, directory, build, engine):
    dataset = data.load(
        config.dataset, config.data_dir, log, image_size=config.image_size, labels=config.labels, stream=config.stream
    )
    log(f"==> Data: {dataset}")
    if config.export:
        export.check(config.export, directory.exports, len(dataset.x_test))
    if config.evaluate:
        evaluate(config, directory, dataset)
    else:
        try:
            train(config, backend, directory, dataset, build, engine)
        except Exception as error:
            gone = engine.explain(error)
            if gone is None:
                raise
            raise distribute.WorkerLost(gone) from error
        finally:
            log.clear()
    if config.export and engine.is_chief:
        export_best(directory, dataset, config)


def train(
    config: TrainingConfig,
    backend: str,
    directory: RunDirectory,
    dataset: Dataset,
    build: Callable[..., keras.Model],
    engine: distribute.Alone | None = None,
) -> None:
    """Train, going on from the last checkpoint where there is one.

    Raises:
        One of `ERRORS`.
    """
    with _on_disk(directory):
        _train(config, backend, directory, dataset, build, engine or distribute.Alone())


def _train(config, backend, directory, dataset, build, engine):
    found = fitting.find_teacher(config, dataset)
    teacher.claim(directory, found)
    training = fitting.prepare(config, directory, run_data.claim(directory, dataset, log), build, engine, found)
    watch = fitting.watching(training)
    fitting.fit(training, watch, backend)
    if training.engine.is_chief:
        conclude(training, watch.reason)


@contextlib.contextmanager
def _on_disk(directory):
    """Say in a line which file of the run, or image, the disk failed at; each is whole, or as it was."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_DISKS:
            raise
        raise TrainingStopped(
            f"cannot read or write {error.filename or directory.path}: {error.strerror}; {_way_on(directory)}"
        ) from error


def _way_on(directory):
    with contextlib.suppress(OSError):  # of the same disk
        if directory.has_checkpoint():
            return "the last checkpoint is kept, and the same command goes on from it"
    return "once that is mended, the same command starts again"


def conclude(training: fitting.Training, reason: str | None) -> None:
    """Write what is known at the end.

    Raises:
        TrainingStopped: for that reason.
    """
    if training.history.epochs:
        finish(training.config, training.directory, training.dataset, training.model, training.history, reason)
    elif reason:
        training.directory.write_json(training.directory.summary, {"epochs": 0, "stopped": reason})
    if reason:
        raise TrainingStopped(reason)


def finish(
    config: TrainingConfig, directory: RunDirectory, dataset: Dataset, model: keras.Model, history: History, stopped: str | None
) -> None:
    """Write summary and curves, and print the last line."""
    best = history.best_epoch()
    picked_on = "held-out training images" if config.holdout else "the test images"
    seconds = sum(history.column("seconds"))
    cost = summarize(model)
    summary = {
        "model": config.model,
        "method": config.method,
        "dataset": dataset.name,
        "epochs": history.epochs,
        "final_top1": history.rows[-1]["val_top1"],
        "best_top1": history.rows[best]["val_top1"] if best is not None else None,
        "best_epoch": best,
        "picked_on": picked_on,
        "seconds": seconds,
        "stopped": stopped,
        "parameters": cost.params,
        "weight_bytes": cost.total_bytes,
        "float32_bytes": cost.float32_bytes,
        "macs": {f"{a}x{w}": count for (a, w), count in cost.macs.items()},
        "pixel_mean": [float(value) for value in dataset.mean],
        "pixel_std": [float(value) for value in dataset.std],
        "labels": list(dataset.labels),
    }
    if config.holdout and not stopped:
        summary["test_top1"] = test_accuracy(config, checkpoint.load(directory.best)[0], dataset)
        log(f"==> Test top-1 of the best epoch: {summary['test_top1']:.3%}")
    directory.write_json(directory.summary, summary)
    plot.curves([directory.path], directory.curves)
    log(
        f"--------  {dataset.name}_{directory.path.name}  --  best_top1: {summary['best_top1']:.3%} (epoch {best}, picked on "
        f"{picked_on})  --  final: {summary['final_top1']:.3%}  --  duration: {duration(seconds)}  --------"
    )


def evaluate(config: TrainingConfig, directory: RunDirectory, dataset: Dataset) -> None:
    """Print the test accuracy of the best checkpoint, and of the last where it is there and of another epoch.

    Images of another data set than the run's are prepared as those of the run, and the line says whose they are.
    """
    known, tested = run_data.read(directory), None
    if not known and directory.path.is_dir():
        log(f"==> The run in {directory.path} does not say which data it is of: pixels are prepared by the statistics of these")
    is_other = run_data.difference(known, run_data.describe(dataset))
    whose = f" on the test images of {dataset.name} {dataset.source}, prepared as in training" if is_other else ""
    dataset = run_data.prepared(dataset, known)
    for path in [path for path in (directory.best, directory.last) if path.exists()] or [directory.best]:
        model, history = checkpoint.load(path)
        run_data.check_fits(model, path, dataset)
        behind = f"epoch {history.trained}, step {history.steps}" if history.steps else f"epoch {history.trained - 1}"
        if behind != tested:
            log(f"==> Test top-1 of {path}{whose} ({behind}): {test_accuracy(config, model, dataset):.3%}")
        tested = behind


def test_accuracy(config: TrainingConfig, model: keras.Model, dataset: Dataset) -> float:
    """Top-1 share on the test set."""
    batches = data.batches_of(dataset.x_test, dataset.y_test, fitting.evaluation_batch(config), dataset.mean, dataset.std)
    return model.evaluate(data.feed(batches), verbose=0, return_dict=True)["top1"]


def export_best(directory: RunDirectory, dataset: Dataset, config: TrainingConfig) -> None:
    """Export the best checkpoint and print what each file holds."""
    model, _ = checkpoint.load(directory.best)
    known, labels = run_data.read(directory), dataset.labels
    if run_data.difference(known, run_data.describe(dataset)) and config.labels is None:
        labels = directory.read_json(directory.summary).get("labels", ())  # those of other images are not the network's
    dataset = run_data.prepared(dataset, known)
    images, targets = np.asarray(dataset.x_test[:EXPORT_IMAGES]), dataset.y_test[:EXPORT_IMAGES]
    known = {"pixel_mean": dataset.mean, "pixel_std": dataset.std, "labels": labels}
    try:
        export.save(model, directory.exports, config.export, images=images, targets=targets, **known, log=_log_report)
    except OSError as error:  # such as a full disk
        raise export.ExportError(f"the export to {directory.exports} failed: {error}") from error


def _log_report(report):
    log(f"==> {report}")
