"""A run that learns from another one's network: found, tried against the data, known again on the way on; in process, tiny."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from absl.testing import flagsaver
from conftest import array
from running import BACKEND, arrays, sampled

import train
from tfq import distribute, layers
from tfq.backend.keras import keras
from tfq.cli import fitting, program
from tfq.data import dataset as datasets
from tfq.training import run_data, teacher, weights
from tfq.training.run_directory import RunDirectory

FLAGS = ("--epochs=2", "--batch_size=8", "--optimizer=sgd", "--lr=0.1", "--dataset=npz", "--data_dir=x.npz", "--method=xnor")


def once(test):
    """Marks what does not depend on the backend: it runs in the main environment alone."""
    return pytest.mark.keras3_only(pytest.mark.tensorflow_only(test))


def data(classes=3, size=6, high=60):
    rng = np.random.default_rng(0)
    x = rng.integers(0, high, (36, size, size, 3)).astype("uint8")
    return datasets.make("npz", (x[:24], np.arange(24) % classes, x[24:], np.arange(12) % classes), classes, False, "from x.npz")


def build(name, input_shape, num_classes, method, **options):
    """A network that is quantized unless the method is float."""
    given = {} if method == "float" else {"input_quantizer": f"{method}_inputs", "kernel_quantizer": f"{method}_weights"}
    inputs = keras.Input(input_shape)
    x = layers.BatchNormalization(name="bn")(keras.layers.Conv2D(4, 3, name="first")(inputs))
    x = layers.QuantConv2D(4, 3, name="second", **given)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="head")(x))


def saved(path, **of_data):
    """The file of a float network for such data."""
    made = data(**of_data)
    model = build("", made.x_train.shape[1:], made.num_classes, "float")
    generator = np.random.default_rng(7)
    model.set_weights([generator.uniform(0.2, 2, weight.shape).astype("float32") for weight in model.get_weights()])
    path.parent.mkdir(exist_ok=True)
    model.save(path)
    return path


def config(*arguments):
    with flagsaver.flagsaver():
        train.FLAGS.unparse_flags()
        train.FLAGS(["train.py", *FLAGS, *arguments])
        return train.config()


def trained(directory, *arguments):
    keras.utils.set_random_seed(0)
    program.train(config(*arguments), BACKEND, directory, data(), build)


class Stop(keras.callbacks.Callback):
    """Stops the process in the validation of the first epoch."""

    def on_test_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    monkeypatch.setattr(program.plot, "curves", lambda *_: None)
    monkeypatch.setattr(fitting, "tensorboard", lambda *_: [])


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_its_teacher_to_the_same_bits(tmp_path, monkeypatch):
    whole, stopped, alone = (RunDirectory(tmp_path / name) for name in ("whole", "stopped", "alone"))
    path = saved(tmp_path / "teacher.keras")
    trained(whole, f"--teacher={path}")
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "tensorboard", lambda *_: [Stop()])
        with pytest.raises(KeyboardInterrupt):
            trained(stopped, f"--teacher={path}")
    moved = shutil.move(path, tmp_path / "moved.keras")
    with pytest.raises(
        teacher.TeacherError, match=r"learns from --teacher=.*teacher\.keras \(SHA-256 \w{8}\), not from no teacher"
    ):
        trained(stopped)
    other = saved(tmp_path / "other.keras", high=61)  # saved at another time, by other bytes
    with pytest.raises(
        teacher.TeacherError, match=r"not from --teacher=.*other\.keras \(SHA-256 \w{8}\): give the same, another"
    ):
        trained(stopped, f"--teacher={other}")
    trained(stopped, f"--teacher={moved}")
    expected, found = arrays(whole.last), arrays(stopped.last)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)
    assert json.loads(stopped.teacher.read_text())["path"] == str(moved)
    # It did learn from it, and keeps nothing of it.
    trained(alone)
    without = arrays(alone.last)
    assert without.keys() == expected.keys()
    assert any(not np.array_equal(without[name], values) for name, values in expected.items())
    with pytest.raises(teacher.TeacherError, match=r"learns from no teacher, not from --teacher="):
        trained(alone, f"--teacher={moved}")


@pytest.mark.parametrize("kind", sampled(["keras", "npz", "weights.h5", "run"], {"npz"}, "tf_keras", "jax", "torch"))
def test_a_teacher_is_read_from_each_kind_of_file_and_does_not_move_the_start(kind, tmp_path):
    path = saved(tmp_path / "run" / "best.keras")
    model = keras.models.load_model(path)
    expected = model.get_weights()
    source = {"keras": path, "run": path.parent}.get(kind, tmp_path / f"alone.{kind}")
    if kind == "npz":
        named = {layer.name: {w.name.split("/")[-1].split(":")[0]: array(w) for w in layer.weights} for layer in model.layers}
        weights.write(source, {name: found for name, found in named.items() if found}, {"epochs": 1})
        expected = [each.astype("float16").astype("float32") if each.ndim > 1 else each for each in expected]
    elif kind == "weights.h5":
        model.save_weights(source)

    def prepared(*arguments):
        keras.utils.set_random_seed(0)
        given = config(*arguments)
        found = fitting.find_teacher(given, data())
        return fitting.prepare(given, RunDirectory(tmp_path / "new"), data(), build, distribute.Alone(), found)

    taught, plain = prepared(f"--teacher={source}"), prepared()
    for found, values in zip(taught.teacher.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, values)
    for found, values in zip(taught.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, values)
    assert plain.teacher is None


@once
@pytest.mark.parametrize(
    ("of_data", "said"),
    [
        ({"classes": 4}, r"images of 6x6x3 in 3 classes; the network of .*best\.keras takes 6x6x3 and has 4 classes"),
        ({"size": 7}, r"images of 6x6x3 in 3 classes; the network of .*best\.keras takes 7x7x3 and has 3 classes"),
    ],
)
def test_a_teacher_of_other_classes_or_shapes_is_one_line(of_data, said, tmp_path):
    saved(tmp_path / "run" / "best.keras", **of_data)
    directory = RunDirectory(tmp_path / "new")
    with pytest.raises(teacher.TeacherError, match=said):
        trained(directory, f"--teacher={tmp_path / 'run'}")
    assert not directory.has_epochs()
    # That of a run on other data is known by what the run says.
    of_run = RunDirectory(tmp_path / "run")
    of_run.begin(run_data.describe(data(**of_data)))
    with pytest.raises(teacher.TeacherError, match=r"run was trained on other data: npz from x\.npz .* instead of npz from x"):
        trained(directory, f"--teacher={tmp_path / 'run'}")
    assert not directory.flags.exists()


@once
def test_a_teacher_on_other_pixels_is_one_line(tmp_path):
    saved(tmp_path / "run" / "best.keras")
    RunDirectory(tmp_path / "run").begin(run_data.describe(data(high=50)))
    with pytest.raises(teacher.TeacherError, match="was trained on other data"):
        trained(RunDirectory(tmp_path / "new"), f"--teacher={tmp_path / 'run'}")
    assert teacher.find(saved(tmp_path / "of_nowhere" / "best.keras"), data())


@once
@pytest.mark.parametrize("kind", ["npz", "weights.h5"])
def test_weights_of_another_network_are_one_line(kind, tmp_path):
    path = tmp_path / f"other.{kind}"
    model = keras.models.load_model(saved(tmp_path / "four.keras", classes=4))
    if kind == "npz":
        weights.write(path, {"head": {"kernel": array(model.get_layer("head").kernel)}, "more": {"kernel": np.ones((2, 2))}}, {})
    else:
        model.save_weights(path)
    said = "first, bn, second, head, more" if kind == "npz" else "head"
    with pytest.raises(teacher.TeacherError, match=rf"--teacher=.*not those of the float network .*: other are {said}; another"):
        trained(RunDirectory(tmp_path / "new"), f"--teacher={path}")


@once
def test_a_teacher_that_is_not_there_or_damaged_is_one_line(tmp_path):
    (tmp_path / "damaged.keras").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    for name, said in (("empty", "there is no such file, and no best or last"), ("damaged.keras", "cannot be read")):
        with pytest.raises(teacher.TeacherError, match=rf"--teacher=.*{name}.*{said}") as caught:
            trained(RunDirectory(tmp_path / "new"), f"--teacher={tmp_path / name}")
        assert "\n" not in str(caught.value)


@once
@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="there is no file whose reading fails for everybody")
def test_a_teacher_on_a_bad_disk_is_one_line_on_the_teacher(tmp_path):
    path = tmp_path / "bad.keras"
    path.symlink_to("/proc/self/mem")  # nothing is at address 0
    with pytest.raises(teacher.TeacherError, match=r"^--teacher=.*bad\.keras cannot be read: Input/output error$"):
        trained(RunDirectory(tmp_path / "new"), f"--teacher={path}")


@once
def test_a_run_without_an_epoch_may_change_its_teacher(tmp_path):
    directory, given = RunDirectory(tmp_path / "new"), teacher.Teacher(tmp_path / "best.keras", "0123456789")
    teacher.claim(directory, given)
    teacher.claim(directory, None)
    directory.last.touch()
    teacher.claim(directory, None)
    with pytest.raises(teacher.TeacherError, match="learns from no teacher, not from --teacher="):
        teacher.claim(directory, given)
