"""Distillation: gradients against their closed forms in NumPy, and a student that stays the model that it was."""

import zipfile

import numpy as np
import pytest
from conftest import array, gradient, tensor
from running import BACKEND

from tfq import data
from tfq.backend.keras import keras, ops
from tfq.data import on_device
from tfq.training import SoftTargets, distilling

CLASSES = 5


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("temperature", [0.5, 1, 4, 20])
def test_soft_targets_and_their_gradient_are_those_of_the_paper(rng, temperature):
    v, z = (rng.normal(0, 3, (6, CLASSES)) for _ in range(2))
    z[0] = v[0] + 2  # the same probabilities
    p, q = softmax(v / temperature), softmax(z / temperature)
    loss = SoftTargets(temperature)
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=-1)
    assert expected[0] < 1e-12
    np.testing.assert_allclose(array(loss.call(tensor(v), tensor(z))), expected, rtol=1e-4, atol=1e-5)
    found = gradient(lambda z: loss(tensor(v), z), z)
    np.testing.assert_allclose(found, temperature * (q - p) / len(z), rtol=1e-4, atol=1e-6)
    assert SoftTargets.from_config(loss.get_config()).temperature == temperature


def test_the_teacher_gets_no_gradient(rng):
    v, z = (rng.normal(0, 3, (6, CLASSES)) for _ in range(2))
    # A sum, since PyTorch and TensorFlow have no gradient at all of what the loss does not depend on.
    found = gradient(lambda v: SoftTargets(2.0)(v, tensor(z)) + ops.sum(v), v)
    np.testing.assert_array_equal(found, np.ones_like(v, "float32"))


def linear():
    """A student whose gradient is known: one matrix, on the means of the channels."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, use_bias=False, name="head")(x))
    compiled_with(model)
    return model


def compiled_with(model, rate=0.5, **options):
    model.compile(
        keras.optimizers.SGD(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="top1")],
        **options,
    )


def teaching():
    """A teacher that in training would give something else, and would change."""
    layers = [keras.layers.Flatten(), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), keras.layers.Dense(CLASSES)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    generator = np.random.default_rng(1)
    model.set_weights([generator.uniform(0.3, 1, weight.shape).astype("float32") for weight in model.get_weights()])
    model.layers[-1].kernel.assign(generator.normal(0, 0.5, model.layers[-1].kernel.shape))
    return model


@pytest.fixture
def batches(rng):
    x, y = rng.integers(0, 256, (24, 8, 8, 3)).astype("uint8"), (np.arange(24) % CLASSES).astype("int32")
    return data.Batches(
        x, y, 8, np.full(3, 0.5, "float32"), np.full(3, 0.25, "float32"), crop=True, flip=True, shuffle=True, seed=3
    )


def trained_by_hand(kernel, teacher, batches, temperature, weight, rate=0.5):
    """The kernel after an epoch of SGD with the gradient of the docstring."""
    kernel = kernel.astype("float64")
    for index in range(len(batches)):
        x, y = batches[index]
        features = x.astype("float64").mean(axis=(1, 2))
        z, v = features @ kernel, array(teacher(x, training=False)).astype("float64")
        of_labels = softmax(z) - np.eye(CLASSES)[y]
        of_teacher = temperature * (softmax(z / temperature) - softmax(v / temperature))
        kernel -= rate * features.T @ ((1 - weight) * of_labels + weight * of_teacher) / len(x)
    return kernel


@pytest.mark.parametrize(("temperature", "weight"), [(4.0, 0.9), pytest.param(1.5, 1.0, marks=pytest.mark.slow)])
def test_steps_of_fit_have_the_gradient_of_the_formula(batches, temperature, weight):
    """On the very images of the student's batch; on JAX they are made on the device."""
    student, teacher = linear(), teaching()
    before = [array(each) for each in teacher.weights]
    kernel = array(student.get_layer("head").kernel)
    expected = trained_by_hand(kernel, teacher, batches, temperature, weight)
    with distilling(student, teacher, temperature, weight), data.feeding(student, batches, batches) as (given, val_given, _):
        history = student.fit(given, validation_data=val_given, shuffle=False, verbose=0).history
    assert np.abs(expected - kernel).max() > 0.05
    np.testing.assert_allclose(array(student.get_layer("head").kernel), expected, rtol=1e-4, atol=1e-5)
    for weight_of_teacher, was in zip(teacher.weights, before, strict=True):
        np.testing.assert_array_equal(array(weight_of_teacher), was)
    # What is validated is the network, by its own loss.
    evaluated = student.evaluate(data.feed(batches), verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(evaluated["loss"], rel=1e-5)


def test_afterwards_the_student_trains_without_a_teacher(batches):
    student, teacher = linear(), teaching()
    x, y = batches[0]
    with distilling(student, teacher):
        student.train_on_batch(x, y)
    assert not {"train_step", "compute_loss"} & vars(student).keys()
    kernel = array(student.get_layer("head").kernel)
    features = x.mean(axis=(1, 2))
    student.train_on_batch(x, y)
    expected = kernel - 0.5 * features.T @ (softmax(features @ kernel) - np.eye(CLASSES)[y]) / len(x)
    np.testing.assert_allclose(array(student.get_layer("head").kernel), expected, rtol=1e-4, atol=1e-5)
    # And one that has been trained without one learns from it.
    with distilling(student, teacher, weight=1.0):
        student.train_on_batch(x, y)
    p, q = softmax(array(teacher(x, training=False)) / 4), softmax(features @ expected / 4)
    expected = expected - 0.5 * features.T @ (4 * (q - p)) / len(x)
    np.testing.assert_allclose(array(student.get_layer("head").kernel), expected, rtol=1e-4, atol=1e-5)


def test_what_the_student_had_before_it_has_afterwards(batches):
    student, x, y = linear(), *batches[0]
    calls, own_loss = [], student.compute_loss

    def doubled(*arguments, **named):
        calls.append(1)
        return 2 * own_loss(*arguments, **named)

    student.compute_loss = doubled
    kernel, features = array(student.get_layer("head").kernel).astype("float64"), x.mean(axis=(1, 2))
    with distilling(student, teaching(), 2.0, 0.5):
        with distilling(student, other := teaching(), 1.0, 0.2):
            other.layers[-1].kernel.assign(-other.layers[-1].kernel)
            student.train_on_batch(x, y)
            both = array(student.get_layer("head").kernel).astype("float64")
        student.train_on_batch(x, y)
        outer = array(student.get_layer("head").kernel)
    assert vars(student)["compute_loss"] is doubled
    assert "train_step" not in vars(student)
    assert calls

    def gradient_of(kernel, *teachers):
        z = features @ kernel
        of_all = 2 * (softmax(z) - np.eye(CLASSES)[y])
        for teacher, temperature, weight in teachers:
            v = array(teacher(x, training=False)).astype("float64")
            of_teacher = temperature * (softmax(z / temperature) - softmax(v / temperature))
            of_all = (1 - weight) * of_all + weight * of_teacher
        return features.T @ of_all / len(x)

    expected = kernel - 0.5 * gradient_of(kernel, (teaching(), 2.0, 0.5), (other, 1.0, 0.2))
    np.testing.assert_allclose(both, expected, rtol=1e-4, atol=1e-5)
    expected = both - 0.5 * gradient_of(both, (teaching(), 2.0, 0.5))
    np.testing.assert_allclose(outer, expected, rtol=1e-4, atol=1e-5)


def test_what_is_saved_knows_no_teacher(batches, tmp_path):
    student, teacher = linear(), teaching()
    with distilling(student, teacher):
        student.train_on_batch(*batches[0])
        student.save(tmp_path / "student.keras")
    with zipfile.ZipFile(tmp_path / "student.keras") as file:
        assert teacher.name not in file.read("config.json").decode()
    loaded = keras.models.load_model(tmp_path / "student.keras")
    assert len(loaded.weights) == 1
    x, y = batches[1]
    for model in (student, loaded):
        model.train_on_batch(x, y)
    np.testing.assert_array_equal(*(array(model.get_layer("head").kernel) for model in (student, loaded)))


def test_a_teacher_that_does_not_fit_is_one_line(batches):
    student = linear()
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(CLASSES + 1)])
    cases = [
        (other, {}, rf"logits of shape \(None, {CLASSES + 1}\), the student of \(None, {CLASSES}\)"),
        (student, {}, "is the student itself"),
        (keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(CLASSES)]), {}, "is not built"),
        (teaching(), {"temperature": 0}, "temperature must be above 0 and finite; got 0"),
        (teaching(), {"temperature": float("nan")}, "temperature must be above 0 and finite; got nan"),
        (teaching(), {"temperature": float("inf")}, "temperature must be above 0 and finite; got inf"),
        (teaching(), {"weight": 0}, "weight must be above 0 and at most 1; got 0"),
        (teaching(), {"weight": 1.5}, "weight must be above 0 and at most 1; got 1.5"),
    ]
    for teacher, options, message in cases:
        with pytest.raises(ValueError, match=message), distilling(student, teacher, **options):
            pass
    assert not {"train_step", "compute_loss"} & vars(student).keys()


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="Keras knows one step to a call alone there")
def test_several_steps_to_a_call(batches, monkeypatch):
    monkeypatch.setattr(on_device, "accelerators", lambda: ["one"])  # on JAX they are a loop on the device
    student, teacher = linear(), teaching()
    expected = trained_by_hand(array(student.get_layer("head").kernel), teacher, batches, 4.0, 0.5)
    compiled_with(student, steps_per_execution=3)
    with distilling(student, teacher, 4.0, 0.5), data.feeding(student, batches, batches) as (given, _, _):
        student.fit(given, shuffle=False, verbose=0)
    np.testing.assert_allclose(array(student.get_layer("head").kernel), expected, rtol=1e-4, atol=1e-5)
