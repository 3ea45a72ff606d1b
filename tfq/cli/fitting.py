"""What lies between the flags of train.py and `model.fit`: batches, network, callbacks, and the calls of `fit`."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tfq import callbacks, data, distribute, export, optional
from tfq.backend.devices import accelerators
from tfq.backend.keras import backend as keras_backend
from tfq.backend.keras import keras
from tfq.cli.config import TrainingConfig
from tfq.data.batches import Steps
from tfq.data.dataset import Dataset
from tfq.data.on_device import Fed
from tfq.distribute.sigterm import Preempted
from tfq.training import checkpoint, distilling, optimizers, transfer
from tfq.training import teacher as teachers
from tfq.training.history import History
from tfq.training.lines import Lines
from tfq.training.rest import Rest
from tfq.training.run_directory import RunDirectory, versions
from tfq.training.teacher import Teacher

log = Lines()


class Training(NamedTuple):
    """A run that is ready to train: what it is of, and where it is."""

    config: TrainingConfig
    directory: RunDirectory
    engine: distribute.Alone
    dataset: Dataset
    batches: data.Batches
    val_batches: data.Batches
    model: keras.Model
    history: History
    teacher: keras.Model | None = None


class Stretch(NamedTuple):
    """What one call of `fit` trains: batches, the steps of their first epoch that are done, the number of epochs behind them."""

    batches: data.Batches | Rest
    first: int
    end: int


class Watch(NamedTuple):
    """The callbacks that last as long as the run, those among them that may stop it, and the one that records it."""

    lasting: list[keras.callbacks.Callback]
    stops: list[Any]
    record: callbacks.Record

    @property
    def reason(self) -> str | None:
        """Why the run is stopped; None where it goes on."""
        return next((stop.reason for stop in self.stops if stop.reason), None)


def prepare(
    config: TrainingConfig,
    directory: RunDirectory,
    dataset: Dataset,
    build: Callable[..., keras.Model],
    engine: distribute.Alone,
    teacher: Teacher | None = None,
) -> Training:
    """Make batches and network, and bring the network to where the run in the directory was, on all workers the same.

    Raises:
        DistributionError: the workers read different checkpoints.
    """
    batches, val_batches = make_batches(config, dataset)
    with engine.scope():
        model = build_model(config, build, dataset, engine.steps(batches), engine)
    if config.export:
        export.check_model(model, config.export)
    with engine.scope():
        learns_from = load_teacher(config, teacher, build, dataset)  # after the network, whose start it must not move
        history = resume(model, directory, config)
    engine.check_same("epochs", history.trained)
    engine.check_same("steps", history.steps)
    return Training(config, directory, engine, dataset, batches, val_batches, model, history, learns_from)


def watching(training: Training) -> Watch:
    """The callbacks, in the order that they need."""
    config, directory, history = training.config, training.directory, training.history
    batches, val_batches = training.batches, training.val_batches
    on_nan = callbacks.StopOnNaN()
    on_collapse = callbacks.StopOnCollapse(history, training.dataset.num_classes, batches.num_images)
    behind = [on_collapse] if config.stop_on_collapse else []
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
        on_nan,
        record,
        callbacks.Report(batches, val_batches, config.epochs, test_name(config), log),
        *behind,  # the record, whose history it reads
        *tensorboard(directory, history),
    ]
    return Watch(lasting, [on_nan, *behind], record)


def test_name(config: TrainingConfig) -> str:
    """What the lines of a run call its validation."""
    return "Holdout" if config.holdout else "Test"


def fit(training: Training, watch: Watch, backend: str) -> None:
    """Train until the run is complete, is stopped by one of its callbacks, or by SIGTERM.

    Args:
        training: the run.
        watch: its callbacks.
        backend: name of the backend in use.

    Raises:
        Preempted: by SIGTERM.
    """
    config, engine, history = training.config, training.engine, training.history
    is_complete = history.epochs >= config.epochs  # before what `complete` adds, which TensorBoard is to see too
    with engine.preemption() as is_asked, engine.scope(), taught(training):
        for stretch in stretches(training.batches, history, config.epochs):
            with engine.feeding(training.model, stretch.batches, training.val_batches) as fed:
                complete(watch.record, training.model, fed.val_images)
                if is_complete or watch.reason:
                    break
                training.directory.write_versions(versions(backend, accelerators()))
                fit_stretch(training, watch, stretch, fed, is_asked)
        if is_asked():
            raise Preempted("stopped by SIGTERM after the last epoch")


@contextlib.contextmanager
def taught(training: Training) -> Iterator[None]:
    """Inside, the network learns from the teacher of the run as well, where it has one."""
    if training.teacher is None:
        yield
        return
    config, teacher = training.config, training.teacher
    # As the network itself: float32 products would be most of the time of a step.
    faster = callbacks.bfloat16.passing_on(teacher) if config.bfloat16 else contextlib.nullcontext()
    with faster, distilling(training.model, teacher, config.temperature, config.teacher_weight):
        yield


def fit_stretch(training: Training, watch: Watch, stretch: Stretch, fed: Fed, is_asked: Callable[[], bool]) -> None:
    """One call of `fit`."""
    config, model = training.config, training.model
    within = checkpoint.read_within(training.directory.last) if stretch.first else {}
    if stretch.first:
        build_metrics(model, stretch.batches)
    model.fit(
        fed.images,
        validation_data=fed.val_images,
        epochs=stretch.end,
        initial_epoch=training.history.epochs,
        shuffle=False,  # the batches do it, by seed and epoch
        verbose=0,  # `Progress` says it, in the lines that `Report` ends
        callbacks=[
            *watch.lasting,
            callbacks.Progress(*fed.steps, test_name(config), log.progress),
            callbacks.Preemption(watch.record, fed.steps[0], config.batch_size, stretch.first, within, is_asked),
        ],
    )


def stretches(batches: data.Batches, history: History, epochs: int) -> Iterator[Stretch]:
    """What there is to train: the rest of an epoch that an earlier process has begun, then whole ones."""
    if history.steps:
        yield Stretch(Rest(batches, history.steps), history.steps, history.epochs + 1)
        if history.steps or history.epochs >= epochs:  # stopped, or it was the last one
            return
    yield Stretch(batches, 0, epochs)


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


def find_teacher(config: TrainingConfig, dataset: Dataset) -> Teacher | None:
    """The file of the teacher that the flags name, or None.

    Raises:
        TeacherError: it is not there, or not for these data.
    """
    return None if config.teacher is None else teachers.find(config.teacher, dataset)


def load_teacher(
    config: TrainingConfig, teacher: Teacher | None, build: Callable[..., keras.Model], dataset: Dataset
) -> keras.Model | None:
    """Its network, or None.

    Raises:
        TeacherError: it cannot be read, or is not for these images.
    """
    if teacher is None:
        return None
    model = teacher.load(lambda: _network(config, build, dataset, "float", config.shape), dataset)
    log(f"==> Teacher: {teacher.path}, weight {config.teacher_weight:g}, temperature {config.temperature:g}")
    return model


def _network(config, build, dataset, method, options):
    shape = {"input_shape": dataset.x_train.shape[1:], "num_classes": dataset.num_classes}
    return build(config.model, method=method, **options, **shape)


def build_model(
    config: TrainingConfig,
    build: Callable[..., keras.Model],
    dataset: Dataset,
    steps_per_epoch: int,
    engine: distribute.Alone,
) -> keras.Model:
    """The compiled network, with weights of its own or of `--init_from`."""
    model = _network(config, build, dataset, config.method, config.network)
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
