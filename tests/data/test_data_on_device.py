"""Images on the device: each step of the compiled call sees the numbers of the host's batch, bit for bit."""

import json
import re

import numpy as np
import pytest
from conftest import ROOT

import models
from lab.benchmark import feed
from tfq import callbacks, data
from tfq.backend.keras import backend, keras, ops
from tfq.data import on_device

MEAN, STD = np.float32([0.4914, 0.4822, 0.4465]), np.float32([0.2470, 0.2435, 0.2616])


@pytest.fixture(scope="module")
def images():
    with np.load(ROOT / "tests" / "data" / "cifar10_slice.npz") as file:
        return file["x_train"], file["y_train"].astype("int32")


def training(images, count=384, batch_size=50, **options):
    x, y = images
    return data.Batches(x[:count], y[:count], batch_size, MEAN, STD, shuffle=True, seed=3, **options)


class Seen(keras.layers.Layer):
    """Sums of its inputs weighted by place, as integers of their bits, so that another last bit is another sum."""

    def build(self, shape):
        self.sums = self.add_weight(shape=(64,), dtype="int32", initializer="zeros", trainable=False)
        self.step = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, inputs, training=None):
        if training:
            sums, step = ops.convert_to_tensor(self.sums), ops.convert_to_tensor(self.step)
            self.sums.assign(ops.where(ops.arange(64, dtype="int32") == step, _digest(inputs), sums))
            self.step.assign(step + 1)
        return ops.mean(inputs, axis=(1, 2))


def _digest(images):
    bits = ops.view(ops.cast(images, "float32"), dtype="int32")
    places = ops.reshape(2 * ops.arange(ops.size(images), dtype="int32") + 1, ops.shape(images))
    return ops.sum(bits * places)  # modulo 2^32


def model_of(steps_per_execution=1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((32, 32, 3)), Seen(), keras.layers.Dense(10)])
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="top1")],
        steps_per_execution=steps_per_execution,
    )
    return model


def fit(model, given, val_given, batches, epochs=2):
    history = model.fit(
        given, validation_data=val_given, epochs=epochs, shuffle=False, verbose=0, callbacks=[callbacks.DataEpoch(batches)]
    )
    return history.history


@pytest.mark.jax_only
@pytest.mark.parametrize("options", [{}, {"crop": True}, {"flip": True}, {"crop": True, "flip": True}], ids=str)
def test_images_are_those_of_the_host_bit_for_bit(images, options):
    batches = training(images, **options)
    batches.set_epoch(5)
    arrays = on_device._put(batches)
    for index in (0, 7):
        (plan,) = on_device.Executions(batches, 1)[index]
        x, y = on_device._images_and_labels(*arrays, plan[0])
        expected_x, expected_y = batches[index]
        assert np.array(x).tobytes() == expected_x.tobytes()
        np.testing.assert_array_equal(y, expected_y)


@pytest.mark.jax_only
@pytest.mark.parametrize("steps", [1, 3, 100])
def test_fit_ends_as_with_batches_of_the_host(images, steps, monkeypatch):
    monkeypatch.setattr(on_device, "accelerators", lambda: ["one"])  # else there are no loops
    batches, val_batches = training(images, crop=True, flip=True), training(images)
    by_hand, on_it = model_of(), model_of(steps)
    expected = fit(by_hand, batches, val_batches, batches)
    with data.feeding(on_it, batches, val_batches) as (given, val_given, _):
        found = fit(on_it, given, val_given, batches)
    assert on_it.layers[0].step == 16  # seven batches of 50 and one of 34, twice
    np.testing.assert_array_equal(on_it.layers[0].sums, by_hand.layers[0].sums)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
    for ours, theirs in zip(on_it.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)  # a loop may sum in another order


@pytest.mark.parametrize(
    ("count", "steps", "shapes"),
    [(384, 3, [3, 3, 3, 1]), (350, 3, [3, 3, 3]), (384, 100, [7, 1]), (30, 5, [1]), (50, 5, [1])],
)
@pytest.mark.jax_only
def test_calls_hold_each_step_once(images, count, steps, shapes):
    batches = training(images, count)
    calls = on_device.Executions(batches, steps)
    plans = [calls[index][0] for index in range(len(calls))]
    assert [len(plan) for plan in plans] == shapes
    assert [calls.seen(index) for index in range(len(calls))] == list(np.cumsum([(plan[:, 0] >= 0).sum() for plan in plans]))
    places = np.concatenate([plan[:, 0].ravel() for plan in plans])
    np.testing.assert_array_equal(np.sort(places[places >= 0]), np.arange(count))


@pytest.mark.jax_only
def test_afterwards_the_model_is_as_it_was(images):
    batches = training(images)
    model = model_of(4)
    with data.feeding(model, batches, batches) as (given, val_given, _):
        fit(model, given, val_given, batches, epochs=1)
    assert model.steps_per_execution == 4
    assert np.isfinite(model.evaluate(*batches[0], verbose=0, return_dict=True)["loss"])


def test_elsewhere_and_where_they_do_not_fit_the_host_feeds(images, monkeypatch):
    monkeypatch.setattr(on_device, "MOST_BYTES", 1000)
    batches = training(images)
    model = model_of(2)
    with data.feeding(model, batches, batches) as (given, val_given, _):
        assert not isinstance(given, on_device.Executions)
        history = fit(model, given, val_given, batches, epochs=1)
    assert model.steps_per_execution == 2
    assert history["val_loss"][0] > 0


@pytest.mark.jax_only
def test_layers_pass_bfloat16_on_and_the_state_stays_float32(images, monkeypatch):
    monkeypatch.setattr(on_device, "accelerators", lambda: ["one"])
    batches = training(images)
    model = model_of(3)
    with data.feeding(model, batches, batches) as (given, val_given, _):
        model.fit(given, validation_data=val_given, shuffle=False, verbose=0, callbacks=[callbacks.Bfloat16Training(mixed=True)])
    assert {str(weight.dtype) for weight in model.weights} == {"float32", "int32"}
    assert model.layers[0].step == 8


def test_the_benchmark_times_both_ways_on_jax_alone(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(models, "build", lambda *arguments, **options: model_of())
    given = ["--images=24", "--batch_size=8", "--repetitions=2", "--steps_per_execution=2", f"--json={tmp_path / 'feed.json'}"]
    if backend != "jax":
        with pytest.raises(SystemExit) as end:
            feed.main(given)
        assert end.value.code == 2
        assert f"is for KERAS_BACKEND=jax; got {backend}" in capsys.readouterr().err
        return
    assert feed.main(given) == 0
    report = json.loads((tmp_path / "feed.json").read_text())
    assert {way: len(rates) for way, rates in report["images_per_s"].items()} == {"host": 2, "device": 2}
    assert re.search(r"^host .* 1\.00x .*\ndevice ", capsys.readouterr().out)
