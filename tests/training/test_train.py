"""The training program end to end: the real command on a slice of real CIFAR-10."""

import json
import re
import signal
import sys

import numpy as np
import pytest
from running import BACKEND, ROOT, TINY, arrays, history, slow_on, train, train_and_signal, train_process, trained

from tfq.backend.keras import load_model
from tfq.cli.config import TrainingConfig
from tfq.export import label_file
from tfq.training.run_directory import RunDirectory

NOISY = ["--flagfile=configs/dorefa_g.cfg", *TINY, "--epochs=3", "--deterministic"]


def once(test):
    """Marks what does not depend on the backend: it runs in the main environment alone."""
    return pytest.mark.keras3_only(pytest.mark.tensorflow_only(test))


@once
def test_evaluation_tests_the_last_checkpoint_too_where_it_is_of_another_epoch(tmp_path, capsys):
    from tfq.backend.keras import keras
    from tfq.cli import program
    from tfq.data import dataset as datasets
    from tfq.training import checkpoint, run_data
    from tfq.training.history import History

    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=[keras.metrics.SparseCategoricalAccuracy(name="top1")])
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.array([0, 0, 0, 1])
    dataset = datasets.make("npz", (images, labels, images, labels), 2, flip=False, source="from a test")
    config = TrainingConfig(batch_size=4)
    directory = RunDirectory(tmp_path)
    directory.begin(run_data.describe(dataset))

    def tested(path, epochs, bias):
        model.layers[-1].bias.assign(bias)
        checkpoint.save(model, path, History([{"epoch": epoch} for epoch in range(epochs)]))
        program.evaluate(config, directory, dataset)
        return capsys.readouterr().out.splitlines()

    best = f"==> Test top-1 of {directory.best} (epoch 0): 75.000%"
    assert tested(directory.best, 1, [1, 0]) == [best]
    assert tested(directory.last, 2, [0, 1]) == [best, f"==> Test top-1 of {directory.last} (epoch 1): 25.000%"]
    checkpoint.copy(directory.last, directory.best)
    assert tested(directory.last, 2, [0, 1]) == [f"==> Test top-1 of {directory.best} (epoch 1): 25.000%"]
    directory.best.unlink()  # of a run that was stopped in its first validation there is none
    assert tested(directory.last, 1, [0, 1]) == [f"==> Test top-1 of {directory.last} (epoch 0): 25.000%"]


@once
def test_crops_and_flips_are_those_of_the_flags_or_of_the_data_set():
    from tfq import data
    from tfq.cli import fitting
    from tfq.data import dataset as datasets

    x = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3)).astype("uint8")
    for crop, flip, of_data, expected in (
        (True, None, True, (True, True)),
        (True, None, False, (True, False)),
        (True, True, False, (True, True)),
        (True, False, True, (True, False)),
        (False, False, True, (False, False)),
        (False, True, False, (False, True)),
    ):
        dataset = datasets.make("own", (x, np.arange(8), x, np.arange(8)), 8, flip=of_data, source="")
        batches, _ = fitting.make_batches(TrainingConfig(batch_size=8, crop=crop, flip=flip), dataset)
        assert isinstance(batches, data.Batches)
        assert (batches.crop, batches.flip) == expected


@pytest.mark.keras3_only
@slow_on("jax")
def test_a_run_explains_itself(tmp_path):
    export = [] if BACKEND == "jax" else ["--export=savedmodel,tflite"]
    flags = [*TINY, "--labels=a,b,c,d,e,f,g,h,i,j"]
    flags += ["--epochs=2", f"--run_dir={tmp_path}", *export]
    output = trained("--flagfile=configs/xnor.cfg", *flags)
    assert "==> Data: npz from tests/data/cifar10_slice.npz: 384 training and 128 test images of 32 x 32 x 3 (height" in output
    assert re.search(r"Train: +1 \[ +128/ +128 \(100%\)\] loss: +\d.*top1: .*load_time: .*lr: .*images/s", output)
    assert re.search(r"Test: +1 \[ +128/ +128 \(100%\)\] loss: +\d.*top1: .*time left: 0 s$", output, re.M)
    assert "picked on the test images" in output
    for name in (
        "flags.cfg",
        "data.json",
        "versions.json",
        "history.csv",
        "last.keras",
        "best.keras",
        "curves.png",
        "summary.json",
    ):
        assert (tmp_path / name).stat().st_size > 0, name
    rows = history(tmp_path)
    assert [float(row["epoch"]) for row in rows] == [0, 1]
    assert all(0 < float(row["flip_ratio"]) < 0.5 for row in rows)  # at 0.5 signs would be drawn anew
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["best_top1"] == pytest.approx(max(float(row["val_top1"]) for row in rows))
    assert list(tmp_path.glob("tensorboard/*/events*")) or BACKEND == "jax"
    assert summary["labels"] == list("abcdefghij")
    if export:
        assert label_file.read(tmp_path / "export" / "model.tflite") == tuple("abcdefghij")
        assert {path.name for path in (tmp_path / "export").iterdir()} == {"savedmodel", "model.tflite"}

    evaluated = trained("--evaluate", f"--run_dir={tmp_path}")
    assert f"{tmp_path / 'best.keras'} (epoch {summary['best_epoch']}): {summary['best_top1']:.3%}" in evaluated
    assert "savedmodel" not in evaluated  # it was exported by the run

    # All backends of Keras 3 read each other's checkpoints, tf_keras does not.
    flags, versions = tmp_path / "flags.cfg", tmp_path / "versions.json"
    # And an earlier version did not know this flag and did not write it down; the run is the same one.
    flags.write_text(flags.read_text().replace("--latent=true\n", ""))
    here = versions.read_text()
    for other in ("jax" if BACKEND == "tensorflow" else "tensorflow", "tf_keras"):
        flags.write_text(flags.read_text().replace(f"--backend={BACKEND}", f"--backend={other}"))
        versions.write_text(here.replace(f'"{BACKEND}"\n', f'"{other}"\n'))
        went_on = train(f"--flagfile={flags}", "--export=")
        if other == "tf_keras":
            assert went_on.returncode == 2
            assert (
                f"--backend={BACKEND} cannot go on with the run in {tmp_path}, which is of --backend=tf_keras" in went_on.stderr
            )
        else:
            assert "Going on after epoch 1" in went_on.stdout
            assert history(tmp_path) == rows
    versions.write_text(here)
    flags.write_text(flags.read_text().replace("--backend=tf_keras", f"--backend={BACKEND}"))

    differing = train(f"--flagfile={flags}", "--lr=0.1")
    assert differing.returncode == 2
    assert "--lr=0.1 differs from --lr=0.005" in differing.stderr

    flags.write_text(flags.read_text().replace("--latent=true\n", ""))
    new = train(f"--flagfile={flags}", "--nolatent")
    assert new.returncode == 2
    assert "--latent=false differs from --latent=true" in new.stderr

    longer = train(f"--flagfile={flags}", "--epochs=3")
    assert longer.returncode == 2
    assert "--epochs=3 differs" in longer.stderr
    assert f"--init_from={tmp_path} and another --run_dir" in longer.stderr


def epochs_in_tensorboard(path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return [event.step for event in EventAccumulator(str(path)).Reload().Tensors("epoch_top1")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run."""
    path = tmp_path_factory.mktemp("whole")
    trained(*NOISY, f"--run_dir={path}")
    return path


@slow_on("tf_keras", "jax")
def test_killed_run_ends_with_the_same_bits(whole, tmp_path, monkeypatch):
    killed = tmp_path / "killed"
    assert train_and_signal("Test:     1", signal.SIGKILL, *NOISY, f"--run_dir={killed}")[0] == -signal.SIGKILL
    # Neither does any of these change anything.
    settings = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.01, "backend": "tensorflow"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_MAX_STEPS_PER_EPOCH", "1")
    resumed = trained(*NOISY, f"--run_dir={killed}", "--steps_per_execution=3", run=train_process)
    assert "Going on after epoch" in resumed
    assert (
        "floatx=float16, image_data_format=channels_first, epsilon=0.01, max_steps_per_epoch=1, dtype_policy=float16" in resumed
    )
    assert_same_bits(whole, killed)
    if BACKEND == "tensorflow":
        for part in ("train", "validation"):
            assert epochs_in_tensorboard(killed / "tensorboard" / part) == [0, 1, 2]  # none twice


@pytest.mark.slow
def test_a_run_that_sigterm_stops_ends_with_the_same_bits(whole, tmp_path):
    status, errors = train_and_signal("Test:     0", signal.SIGTERM, *NOISY, f"--run_dir={tmp_path}")
    assert status == 75, errors
    assert re.search(r"train.py: error: stopped by SIGTERM in .*; the same command goes on from the last checkpoint", errors)
    assert "Going on after" in trained(*NOISY, f"--run_dir={tmp_path}")
    assert_same_bits(whole, tmp_path)


def assert_same_bits(whole, other):
    """That both runs have the same weights, optimizer and noise, and the same history but for the times."""
    expected, found = arrays(whole / "last.keras"), arrays(other / "last.keras")
    assert any("iteration" in name or name.startswith("optimizer") for name in expected)
    assert any(array.dtype == np.int32 and array.shape == (2,) for array in expected.values())  # the key of the gradient noise
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)
    timeless = ("epoch", "loss", "top1", "val_loss", "val_top1", "learning_rate")
    assert [[row[name] for name in timeless] for row in history(other)] == [
        [row[name] for name in timeless] for row in history(whole)
    ]


@once
def test_open_ended_schedule_may_go_on(tmp_path):
    flags = ["--flagfile=configs/xnor.cfg", *TINY, "--schedule=constant", "--limit_train=32", f"--run_dir={tmp_path}"]
    trained(*flags, "--epochs=1")
    trained(*flags, "--epochs=2")
    assert len(history(tmp_path)) == 2
    trained(*flags, "--epochs=1", "--noresume")
    assert len(history(tmp_path)) == 1


@once
def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    flags = ["--flagfile=configs/xnor.cfg", *TINY, "--limit_train=32", "--epochs=2", f"--run_dir={tmp_path}"]
    trained(*flags)
    content = bytearray((tmp_path / "last.keras").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "last.keras").write_bytes(content)
    output = trained(*flags)
    assert re.search(r"WARNING: the checkpoint .*last.keras cannot be read", output)
    assert "Going on after epoch 0" in output
    assert [float(row["epoch"]) for row in history(tmp_path)] == [0, 1]


@once
def test_start_from_a_float_run(tmp_path):
    short = [*TINY, "--limit_train=32", "--epochs=1"]
    trained("--flagfile=configs/float.cfg", *short, f"--run_dir={tmp_path / 'float'}")
    second = ["--flagfile=configs/dorefa_a2w2.cfg", *short, f"--run_dir={tmp_path / 'second'}"]
    output = trained(*second, f"--init_from={tmp_path / 'float'}", "--lr=1e-30")
    assert "Weights from" in output
    # With a rate of next to nothing the kernels stay those of the float run; a name may differ by the kind of the layer.
    before, after = arrays(tmp_path / "float/best.keras"), arrays(tmp_path / "second/last.keras")
    kernels = {array.tobytes() for array in before.values() if array.ndim == 4}
    assert sum(array.tobytes() in kernels for name, array in after.items() if array.ndim == 4 and "optimizer" not in name) >= 7


@once
def test_divergence_is_said_and_keeps_the_checkpoint(tmp_path):
    result = train("--flagfile=configs/float.cfg", *TINY, "--epochs=2", "--lr=1e30", f"--run_dir={tmp_path}")
    assert result.returncode == 1
    assert "the loss became" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "last.keras").exists()


@once
def test_held_out_images_pick_the_best(tmp_path):
    output = trained(
        "--flagfile=configs/xnor.cfg", *TINY, "--limit_train=64", "--epochs=1", "--holdout=100", f"--run_dir={tmp_path}"
    )
    assert "Holdout:" in output
    assert "picked on held-out training images" in output
    statistics = json.loads((tmp_path / "data.json").read_text())
    with np.load(ROOT / "tests" / "data" / "cifar10_slice.npz") as file:
        x = (file["x_test"] / np.float32(255) - statistics["pixel_mean"]) / statistics["pixel_std"]
        wanted = (load_model(tmp_path / "best.keras").predict(x, verbose=0).argmax(axis=1) == file["y_test"]).mean()
    assert json.loads((tmp_path / "summary.json").read_text())["test_top1"] == pytest.approx(wanted, abs=1e-6)


@once
def test_unwritable_directory(tmp_path):
    (tmp_path / "file").write_text("")
    result = train("--flagfile=configs/xnor.cfg", *TINY, f"--run_dir={tmp_path / 'file' / 'run'}")
    assert result.returncode == 2
    assert "cannot write to --run_dir" in result.stderr


@pytest.mark.keras3_only
def test_no_tensorflow_drops_two_things_only(tmp_path):
    if BACKEND != "jax" or "tensorflow" in sys.modules:
        pytest.skip("for the environment without TensorFlow")
    output = trained("--flagfile=configs/xnor.cfg", *TINY, "--limit_train=64", "--epochs=1", f"--run_dir={tmp_path}")
    assert "TensorBoard: off" in output
    assert "not counted" in output
    assert "weight memory" in output
