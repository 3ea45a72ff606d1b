"""A run goes on where it was stopped, with its own data and flags, and is tested as it was trained: in process, tiny."""

import json
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from absl.testing import flagsaver
from running import BACKEND, arrays

import train
from tfq import layers
from tfq.backend.keras import keras
from tfq.cli import fitting, program
from tfq.data import dataset as datasets
from tfq.export import run as export_run
from tfq.quantizers import DoReFaGradients
from tfq.terminal import STOPPED
from tfq.training import checkpoint, run_data
from tfq.training.history import History
from tfq.training.run_directory import RunDirectory, RunDirectoryError

TIMELESS = ("epoch", "loss", "top1", "val_loss", "val_top1", "learning_rate", "flip_ratio")


def once(test):
    """Marks what does not depend on the backend: it runs in the main environment alone."""
    return pytest.mark.keras3_only(pytest.mark.tensorflow_only(test))


def build(name, input_shape, num_classes, **options):
    """A network with what a run must keep: latent weights, moving statistics, noise of the gradients."""
    inputs = keras.Input(input_shape)
    x = layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(inputs))
    x = layers.QuantConv2D(
        4,
        3,
        input_quantizer="xnor_inputs",
        kernel_quantizer="xnor_weights",
        gradient_quantizer=DoReFaGradients(4, seed=1),
        name="quantized",
    )(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="head")(keras.layers.GlobalAveragePooling2D()(x)))


def data(low=0, high=60, classes=3, size=6, source="from first.npz"):
    rng = np.random.default_rng(0)
    x = rng.integers(low, high, (36, size, size, 3)).astype("uint8")
    return datasets.make("npz", (x[:24], np.arange(24) % classes, x[24:], np.arange(12) % classes), classes, False, source)


@pytest.fixture
def flags():
    """The function that gives what the training program takes, as the arguments of train.py say."""
    with flagsaver.flagsaver():

        def parsed(*arguments):
            train.FLAGS.unparse_flags()
            train.FLAGS(["train.py", *arguments])
            return train.config()

        yield parsed


def trained(flags, directory, dataset=None):
    keras.utils.set_random_seed(0)
    program.train(flags, BACKEND, directory, dataset or data(), build)
    return directory


class Stop(keras.callbacks.Callback):
    """Stops the process in the middle of the validation of an epoch, and notes what the history had when training began."""

    def __init__(self, epoch, history):
        super().__init__()
        self.stops_in, self.history, self.begun_at = epoch, history, None

    def on_train_begin(self, logs=None):
        self.begun_at = self.history.epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_test_batch_end(self, batch, logs=None):
        if self.epoch == self.stops_in:
            raise KeyboardInterrupt


@pytest.fixture
def stop(monkeypatch):
    """The function that says in the validation of which epoch the next run is stopped; what it gives has the callbacks."""
    monkeypatch.setattr(program.plot, "curves", lambda *_: None)

    def stops_in(epoch):
        made = []
        monkeypatch.setattr(fitting, "tensorboard", lambda _, history: made.append(Stop(epoch, history)) or made)
        return made

    return stops_in


def test_a_run_that_is_stopped_in_a_validation_loses_nothing(flags, stop, tmp_path, capsys):
    given = flags("--epochs=3", "--batch_size=8", "--optimizer=sgd", "--lr=0.1", "--dataset=npz", "--data_dir=first.npz")
    stop(None)
    whole = trained(given, RunDirectory(tmp_path / "whole"))
    stopped = RunDirectory(tmp_path / "stopped")
    for epoch in (1, 2):  # the last one too, after which nothing is trained
        stop(epoch)
        with pytest.raises(KeyboardInterrupt):
            trained(given, stopped)
        model, history = checkpoint.load(stopped.last)
        assert (history.epochs, history.trained) == (epoch, epoch + 1)
        assert model.optimizer.iterations == 3 * (epoch + 1)
    capsys.readouterr()
    made = stop(None)
    trained(given, stopped)
    output = capsys.readouterr().out
    assert "Going on after epoch 2" in output
    assert "Validating epoch 2, in whose validation the run was stopped" in output
    assert made[0].begun_at == 3  # TensorBoard sees that epoch
    for name in ("last", "best"):
        expected, found = (arrays(getattr(directory, name)) for directory in (whole, stopped))
        assert expected.keys() == found.keys()
        for key, array in expected.items():
            np.testing.assert_array_equal(array, found[key], err_msg=key)
    histories = [checkpoint.load(directory.last)[1] for directory in (whole, stopped)]
    assert [[row[name] for name in TIMELESS] for row in histories[0].rows] == [
        [row[name] for name in TIMELESS] for row in histories[1].rows
    ]
    assert histories[0].rows[0].keys() == histories[1].rows[-1].keys()
    assert histories[1].unvalidated is None
    assert len(stopped.history.read_text().splitlines()) == 4


def test_batches_of_a_test_are_those_of_training_or_of_the_flag(flags, monkeypatch, tmp_path, capsys):
    seen = []
    of_data = program.data.Batches
    monkeypatch.setattr(
        program.data, "Batches", lambda x, y, size, *rest, **named: seen.append(size) or of_data(x, y, size, *rest)
    )
    model = build("", (6, 6, 3), 3)
    model.compile(
        "sgd",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="top1")],
    )
    directory = RunDirectory(tmp_path)
    checkpoint.save(model, directory.best, History([{"epoch": 0}]))
    for given, expected in ((["--batch_size=4"], 4), (["--batch_size=4", "--eval_batch_size=7"], 7)):
        assert fitting.make_batches(flags(*given), data())[1].batch_size == expected
        program.evaluate(flags(*given), directory, data())
    assert seen == [4, 4, 4, 4, 7, 7]


# --- data that are not the run's


@pytest.fixture
def begun(tmp_path):
    """The directory of a run that has come through an epoch, on `data()`."""
    directory = RunDirectory(tmp_path)
    model = build("", (6, 6, 3), 3)
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="top1")]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=metrics)
    checkpoint.save(model, directory.last, History([{"epoch": 0, "val_top1": 0.5}]))
    checkpoint.copy(directory.last, directory.best)
    directory.claim({"dataset": "npz", "data_dir": "first.npz"})
    directory.begin(run_data.describe(data()))
    return directory


OTHERS = {
    "darker": {"high": 50},
    "other test labels": {"classes": 2},
    "larger": {"size": 7},
}


@once
@pytest.mark.parametrize("other", OTHERS)
def test_a_run_does_not_go_on_with_other_data(other, begun):
    before = begun.flags.read_text(), begun.data.read_text()
    begun.claim({"dataset": "npz", "data_dir": "second.npz"})
    with pytest.raises(RunDirectoryError) as caught:
        run_data.claim(begun, data(**OTHERS[other], source="from second.npz"))
    message = str(caught.value)
    assert "\n" not in message
    for part in ("npz from second.npz (24 + 12 images", "npz from first.npz (24 + 12 images of 6x6x3, 3 classes", "--noresume"):
        assert part in message
    assert (begun.flags.read_text(), begun.data.read_text()) == before  # else what comes next would take them for the run's


@once
def test_the_same_images_at_another_place_are_fine(begun):
    begun.claim({"dataset": "npz", "data_dir": "moved.npz"})
    run_data.claim(begun, data(source="from moved.npz"), log=pytest.fail)
    assert begun.read_flags()["data_dir"] == "moved.npz"
    assert json.loads(begun.data.read_text())["source"] == "from moved.npz"


@once
def test_a_run_of_an_earlier_version_goes_on_and_says_its_data_from_now_on(begun):
    begun.data.unlink()
    lines = []
    for other, said in (({"classes": 4}, "in 4 classes"), ({"size": 7}, "images of 7x7x3")):
        with pytest.raises(RunDirectoryError, match=rf"{said}.* takes 6x6x3 and has 3 classes"):
            run_data.claim(begun, data(**other), log=pytest.fail)
    assert not begun.data.exists()  # else its own data would be others from now on
    run_data.claim(begun, data(), log=lines.append)
    assert len(lines) == 1
    assert "did not say which data it is of" in lines[0]
    run_data.claim(begun, data(), log=pytest.fail)
    # What its summary says tells other data too.
    begun.data.unlink()
    begun.write_json(begun.summary, {"epochs": 1, "dataset": "npz", "pixel_mean": [0.7] * 3, "pixel_std": [0.1] * 3})
    with pytest.raises(RunDirectoryError, match=r"instead of npz \(pixel mean 0\.700 0\.700 0\.700\)"):
        run_data.claim(begun, data())


@once
def test_what_a_run_says_of_its_data_is_damaged(begun):
    begun.data.write_text("{")
    with pytest.raises(RunDirectoryError, match=r"data\.json cannot be read"):
        run_data.claim(begun, data())


@once
def test_other_data_are_tested_as_the_run_was_trained(flags, begun, capsys):
    def lines(dataset):
        program.evaluate(flags(), begun, dataset)
        return capsys.readouterr().out.splitlines()

    model, own = checkpoint.load(begun.best)[0], data()
    other = datasets.make(
        "npz", (255 - own.x_train, own.y_train, own.x_test, own.y_test), 3, flip=False, source="from second.npz"
    )
    assert not np.allclose(own.mean, other.mean)
    pixels = ((own.x_test / 255 - own.mean) / own.std).astype("float32")
    top1 = np.mean(np.argmax(model.predict(pixels, verbose=0), axis=-1) == own.y_test)
    assert lines(own) == [f"==> Test top-1 of {begun.best} (epoch 0): {top1:.3%}"]
    whose = "on the test images of npz from second.npz, prepared as in training"
    assert lines(other) == [f"==> Test top-1 of {begun.best} {whose} (epoch 0): {top1:.3%}"]
    assert run_data.prepared(other, run_data.read(begun)).mean.tolist() == own.mean.tolist()
    begun.data.unlink()  # an earlier version's run that did not end
    assert "does not say which data it is of" in lines(other)[0]


@once
def test_names_of_other_images_are_not_those_of_the_network(flags, begun, monkeypatch):
    seen = []
    monkeypatch.setattr(program.export, "save", lambda *_, labels, **__: seen.append(list(labels)))
    own, other = (replace(data(**options), labels=tuple(names)) for options, names in (({}, "abc"), ({"high": 50}, "xyz")))
    begun.write_json(begun.summary, {"labels": list("abc")})
    for dataset, given in ((own, []), (other, []), (other, ["--labels=x,y,z"])):
        program.export_best(begun, dataset, flags(*given))
    assert seen == [list("abc"), list("abc"), list("xyz")]


@once
@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"classes": 4}, "images of 6x6x3 in 4 classes"),
        ({"classes": 2}, "in 2 classes"),
        ({"size": 7}, "images of 7x7x3 in 3"),
    ],
)
def test_other_classes_or_shapes_cannot_be_tested(other, said, flags, begun):
    with pytest.raises(program.ERRORS, match=rf"{said}.*; the network of .*best\.keras takes 6x6x3 and has 3 classes"):
        program.evaluate(flags(), begun, data(**other))


@once
def test_an_export_takes_the_statistics_of_the_run_and_refuses_the_images_of_another(begun, tmp_path, monkeypatch):
    monkeypatch.setattr(export_run, "_check_keras", lambda *_: None)
    monkeypatch.setattr(export_run.data, "load", lambda *_, **__: data())
    _, images, mean, std = export_run.read(begun.path, count=16)
    assert len(images) == 12
    assert (mean.tolist(), std.tolist()) == (data().mean.tolist(), data().std.tolist())  # before there is a summary
    monkeypatch.setattr(export_run.data, "load", lambda *_, **__: data(high=50, source="from second.npz"))
    for read in (export_run.read, lambda path: export_run.test_labels(path, 16)):
        with pytest.raises(
            export_run.RunError, match=r"are not those of the run in .*second\.npz .* instead of npz from first\.npz"
        ):
            read(begun.path)
    monkeypatch.undo()
    monkeypatch.setattr(export_run, "_check_keras", lambda *_: None)
    with pytest.raises(export_run.RunError, match=r"data of the run in .* are not to be had: first\.npz .*; give images"):
        export_run.read(begun.path, count=16)


# --- flags of the run


def claims(directory, *arguments, flags, on="tensorflow"):
    """What train.py says of the directory, None where it takes it."""
    flags(f"--run_dir={directory.path}", *arguments)
    try:
        train.claim(directory, on)
    except train.UsageError as error:
        return str(error)
    return None


@once
def test_what_was_stopped_in_its_first_epoch_binds_to_nothing(flags, tmp_path):
    directory = RunDirectory(tmp_path)
    directory.write_flags({"epochs": "5", "lr": "0.5", "backend": "tf_keras"})
    directory.write_versions({"backend": "tf_keras"})
    directory.begin(run_data.describe(data()))
    directory.write_json(directory.summary, {"epochs": 0, "stopped": "the loss became nan"})
    assert claims(directory, "--epochs=3", flags=flags) is None
    run_data.claim(directory, data(high=50), log=pytest.fail)
    assert directory.read_flags()["epochs"] == "3"
    assert directory.last_backend() is None


@once
@pytest.mark.parametrize("left", ["last.keras", "previous.keras", "best.keras", "last.h5", "history.csv"])
def test_an_epoch_that_is_there_binds_to_its_flags(left, flags, tmp_path):
    directory = RunDirectory(tmp_path)
    (tmp_path / left).touch()
    directory.write_flags({"lr": "0.5"})
    assert claims(directory, "--lr=0.1", flags=flags).startswith("--lr=0.1 differs from --lr=0.5 of the run in")
    assert claims(directory, "--lr=0.1", "--noresume", flags=flags) is None
    assert not (tmp_path / left).exists()


@once
def test_a_run_whose_schedule_has_an_end_names_the_way_to_train_on(flags, tmp_path):
    directory = RunDirectory(tmp_path)
    directory.last.touch()
    directory.write_flags({"epochs": "2", "schedule": "cosine"})
    line = claims(directory, "--epochs=3", "--schedule=cosine", flags=flags)
    assert line == (
        f"--epochs=3 differs from --epochs=2 of the run in {tmp_path}, on which the course of --schedule=cosine depends: give "
        f"the same, or to train on from its weights --init_from={tmp_path} and another --run_dir, or --noresume to start over"
    )
    directory.write_flags({"epochs": "2", "schedule": "constant"})
    assert claims(directory, "--epochs=3", "--schedule=constant", "--eval_batch_size=9", flags=flags) is None


@once
@pytest.mark.parametrize(
    ("given", "exports"),
    [
        ([], []),
        (["--export=keras"], ["keras"]),
        (["--flagfile={run}/flags.cfg"], []),
        (["--flagfile={run}/../run/flags.cfg"], []),
    ],
)
def test_a_run_that_is_tested_is_not_exported_again(given, exports, flags, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    RunDirectory(run).write_flags({"export": "tfq,keras", "batch_size": "7", "init_from": "gone", "run_dir": str(run)})
    train.FLAGS.unparse_flags()
    train.parse(["train.py", "--evaluate", f"--run_dir={run}", *(argument.format(run=run) for argument in given)])
    assert train.FLAGS.export == exports
    assert train.FLAGS.batch_size == 7


@once
def test_flags_of_a_run_in_the_default_place_are_read_too(flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "digits_nin_ternary"
    run.mkdir(parents=True)
    RunDirectory(run).write_flags({"batch_size": "7"})
    train.FLAGS.unparse_flags()
    train.parse(["train.py", "--evaluate", "--dataset=digits", "--model=nin", "--method=ternary"])
    assert train.FLAGS.batch_size == 7


@once
@pytest.mark.parametrize(
    ("left", "arguments", "said"),
    [
        (None, [], "interrupted before the first checkpoint in {}: the same command starts over"),
        ("last.keras", [], "interrupted; the same command goes on from the last checkpoint in {}"),
        (
            "previous.keras",
            ["--noresume"],
            "interrupted; the same command without --noresume goes on from the last checkpoint in {}",
        ),
        ("last.keras", ["--evaluate"], "interrupted"),
    ],
)
def test_an_interrupted_run_promises_what_is_there(left, arguments, said, flags, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        if left:
            (tmp_path / left).touch()
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            if "--evaluate" in arguments:
                raise RuntimeError("of Keras, while it traces") from error
            raise

    flags(f"--run_dir={tmp_path}", *arguments)
    monkeypatch.setattr(program, "run", interrupted)
    monkeypatch.setattr(train, "choose_backend", lambda: "tensorflow")
    with pytest.raises(SystemExit) as caught:
        train.main(None)
    assert caught.value.code == 130
    assert capsys.readouterr().err == f"train.py: error: {said.format(tmp_path)}\n"


@once
@pytest.mark.parametrize("left", [None, "last.keras"])
def test_sigterm_outside_of_the_training_has_the_status_of_what_may_be_tried_again(left, flags, tmp_path, monkeypatch, capsys):
    """As in an export at the end, or while data are loaded."""

    def hit(*_):
        if left:
            (tmp_path / left).touch()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    flags(f"--run_dir={tmp_path}")
    monkeypatch.setattr(program, "run", hit)
    monkeypatch.setattr(train, "choose_backend", lambda: "tensorflow")
    with pytest.raises(SystemExit) as caught:
        train.main(None)
    assert caught.value.code == STOPPED == 75
    said = "stopped by SIGTERM; the same command goes on" if left else "stopped by SIGTERM before the first checkpoint"
    assert capsys.readouterr().err.startswith(f"train.py: error: {said}")
    assert signal.getsignal(signal.SIGTERM) is before
