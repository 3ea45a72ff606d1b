"""The training program behind train.py: data, network, `model.fit`, and what is left behind."""

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfq import callbacks, data, distribute, export, optional, plot
from tfq.backend.devices import accelerators, enable_determinism
from tfq.backend.keras import backend as keras_backend
from tfq.backend.keras import keras
from tfq.backend.rounding import exact_products
from tfq.backend.settings import plain_settings
from tfq.cli.config import TrainingConfig
from tfq.data.batches import Steps
from tfq.data.dataset import Dataset
from tfq.distribute.sigterm import Preempted
from tfq.summary import summarize
from tfq.training import checkpoint, optimizers, run_data, transfer
from tfq.training.history import History
from tfq.training.lines import Lines, duration
from tfq.training.rest import Rest
from tfq.training.run_directory import RunDirectory, RunDirectoryError, versions

EXPORT_IMAGES = 256


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


log = Lines()


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
    engine = distribute.engine(
        "none" if config.evaluate else config.distribute
    )  # before anything is computed: it joins the workers
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
    """Train, going on from the last checkpoint where there is one."""
    engine = engine or distribute.Alone()
    dataset = run_data.claim(directory, dataset, log)
    batches, val_batches = make_batches(config, dataset)
    with engine.scope():
        model = build_model(config, build, dataset, engine.steps(batches), engine)
    if config.export:
        export.check_model(model, config.export)
    with engine.scope():
        history = resume(model, directory, config)
    engine.check_same("epochs", history.trained)
    engine.check_same("steps", history.steps)
    test_name = "Holdout" if config.holdout else "Test"
    collapse = callbacks.StopOnCollapse(history, dataset.num_classes, batches.num_images)
    stops: list[Any] = [callbacks.StopOnNaN(), *([collapse] if config.stop_on_collapse else [])]
    # They must see what training has left before the validation begins, so that the checkpoint of that moment has it.
    figures = [
        callbacks.Speed(batches),
        callbacks.FlipRatio(),
        *([callbacks.Diagnosis(batches, val_batches)] if config.diagnose else []),
    ]
    record = callbacks.Record(history, directory.last, directory.best, directory.history, figures)
    lasting = [
        callbacks.DataEpoch(batches),
        *([callbacks.Bfloat16Training()] if config.bfloat16 else []),
        callbacks.Complexity(count_relu=config.count_relu, log=log),
        stops[0],
        record,
        callbacks.Report(batches, val_batches, config.epochs, test_name, log),
        *stops[1:],  # behind the record, whose history it reads
        *tensorboard(directory, history),
    ]
    is_complete = history.epochs >= config.epochs  # before what `complete` adds, which TensorBoard is to see too
    with engine.preemption() as is_asked, engine.scope():
        for stretch, first, end in stretches(batches, history, config.epochs):
            with engine.feeding(model, stretch, val_batches) as fed:
                complete(record, model, fed.val_images)
                if is_complete or any(stop.reason for stop in stops):
                    break
                directory.write_versions(versions(backend, accelerators()))
                within = checkpoint.read_within(directory.last) if first else {}
                if first:
                    build_metrics(model, stretch)
                model.fit(
                    fed.images,
                    validation_data=fed.val_images,
                    epochs=end,
                    initial_epoch=history.epochs,
                    shuffle=False,  # the batches do it, by seed and epoch
                    verbose=0,  # `Progress` says it, in the lines that `Report` ends
                    callbacks=[
                        *lasting,
                        callbacks.Progress(*fed.steps, test_name, log.progress),
                        callbacks.Preemption(record, fed.steps[0], config.batch_size, first, within, is_asked),
                    ],
                )
        if is_asked():
            raise Preempted("stopped by SIGTERM after the last epoch")
    if not engine.is_chief:
        return
    reason = next((stop.reason for stop in stops if stop.reason), None)
    if history.epochs:
        finish(config, directory, dataset, model, history, reason)
    elif reason:
        directory.write_json(directory.summary, {"epochs": 0, "stopped": reason})
    if reason:
        raise TrainingStopped(reason)


def stretches(batches: data.Batches, history: History, epochs: int) -> Iterator[tuple[data.Batches | Rest, int, int]]:
    """What there is to train, in calls of `fit`: the rest of an epoch that an earlier process has begun, then whole ones.

    Yields:
        The batches; how many steps of their first epoch are done; the number of epochs behind them.
    """
    if history.steps:
        yield Rest(batches, history.steps), history.steps, history.epochs + 1
        if history.steps or history.epochs >= epochs:  # stopped, or it was the last one
            return
    yield batches, 0, epochs


def build_metrics(model: keras.Model, batches: Rest) -> None:
    """Let the metrics make their variables, which Keras on TensorFlow does in the first step; elsewhere `fit` does it."""
    if keras_backend == "tensorflow":
        model.test_on_batch(*batches[0])


def make_batches(config: TrainingConfig, dataset: Dataset) -> tuple[data.Batches, data.Batches]:
    """Training batches, and those that the best epoch is picked on: of the test set, or of held-out training images."""
    x, y, val_x, val_y = dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test
    if config.holdout:
        x, y, val_x, val_y = data.hold_out(dataset, config.holdout, config.seed)
    x, y = x[: config.limit_train], y[: config.limit_train]
    flip = dataset.flip if config.flip is None else config.flip
    batches = data.batches_of(
        x, y, config.batch_size, dataset.mean, dataset.std, crop=config.crop, flip=flip, shuffle=True, seed=config.seed
    )
    return batches, data.batches_of(val_x, val_y, evaluation_batch(config), dataset.mean, dataset.std)


def evaluation_batch(config: TrainingConfig) -> int:
    """Images a step of a test: those of a training step, whose memory is known to suffice, unless the user says otherwise."""
    return config.eval_batch_size or config.batch_size


def build_model(
    config: TrainingConfig,
    build: Callable[..., keras.Model],
    dataset: Dataset,
    steps_per_epoch: int,
    engine: distribute.Alone,
) -> keras.Model:
    """The compiled network, with weights of its own or of `--init_from`."""
    model = build(
        config.model,
        method=config.method,
        **config.network,
        input_shape=dataset.x_train.shape[1:],
        num_classes=dataset.num_classes,
    )
    if config.synchronized_bn:
        engine.synchronize(model)
    highest = optimizers.scaled(config.lr, config.optimizer, config.batch_size, config.lr_batch)
    rate = optimizers.learning_rate(config.schedule, highest, config.epochs, steps_per_epoch, config.milestones)
    model.compile(
        optimizers.build(config.optimizer, rate, config.weight_decay, model),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **engine.metrics([keras.metrics.SparseCategoricalAccuracy(name="top1")]),
        steps_per_execution=config.steps_per_execution,
    )
    engine.prepare(model)
    return model


def resume(model: keras.Model, directory: RunDirectory, config: TrainingConfig) -> History:
    """Bring the model to where the run in the directory was; returns its `History`."""
    saved = checkpoint.load_latest(directory.last, log=log)
    if saved is None:
        if config.init_from:
            kept = transfer.initialize(model, config.init_from, config.init_skip, log)
            log(f"==> Weights from {config.init_from}" + (f"; initial ones in {', '.join(kept)}" if kept else ""))
        return History()
    loaded, history = saved
    checkpoint.restore(model, loaded)
    behind = f"step {history.steps} of epoch {history.trained}" if history.steps else f"epoch {history.trained - 1}"
    log(f"==> Going on after {behind} of the run in {directory.path}")
    return history


def complete(record: callbacks.Record, model: keras.Model, val_images: Steps) -> None:
    """Bring the files of a run to where its last checkpoint is, which may be in front of a validation on `val_images`."""
    if record.history.unvalidated:
        log(f"==> Validating epoch {record.history.epochs}, in whose validation the run was stopped")
    record.complete(lambda: model.evaluate(val_images, verbose=0, return_dict=True))
    record.write_followers()


def tensorboard(directory: RunDirectory, history: History) -> list[keras.callbacks.Callback]:
    """The TensorBoard callback, or none where TensorFlow is not installed."""
    if importlib.util.find_spec("tensorflow") is None:
        log(f"TensorBoard: off, {optional.missing('tensorflow', 'it')}")
        return []
    from tfq.callbacks.tensorboard import TensorBoard

    return [TensorBoard(directory.tensorboard, history)]


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
    batches = data.batches_of(dataset.x_test, dataset.y_test, evaluation_batch(config), dataset.mean, dataset.std)
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
