"""What `--diagnose` measures, against networks whose faults are put there by hand."""

import numpy as np
import pytest
from running import TINY, history, slow_on, trained

from tfq import callbacks, layers, quantizers
from tfq.backend.keras import backend, keras
from tfq.training import batch_statistics


class Data:
    """Batches as `tfq.data.Batches` has them, of arrays."""

    def __init__(self, images, labels, size=8):
        self.pairs = [(images[start : start + size], labels[start : start + size]) for start in range(0, len(images), size)]

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 3))
    x = layers.QuantConv2D(5, 3, kernel_quantizer=quantizers.DoReFaWeights(2), name="conv")(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.QuantActivation(quantizers.DoReFaInputs(2), name="levels")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(x))


def data(count=40):
    generator = np.random.default_rng(0)
    return Data(generator.standard_normal((count, 4, 4, 3)).astype("float32"), generator.integers(0, 2, count))


def test_fresh_statistics_are_the_mean_over_the_batches_and_go_again():
    model, batches = network(), data()
    kept = model.get_weights()
    images = [batches[index][0] for index in range(len(batches))]
    before = keras.Model(model.inputs, model.get_layer("conv").output)
    outputs = [np.asarray(before.predict_on_batch(each)) for each in images]
    with batch_statistics.fresh(model, images):
        layer = model.get_layer("bn")
        mean, variance = (np.asarray(keras.ops.convert_to_numpy(w) if hasattr(keras, "ops") else w) for w in layer.weights[2:])
        np.testing.assert_allclose(mean, np.mean([y.mean((0, 1, 2)) for y in outputs], 0), rtol=1e-4, atol=1e-6)
        # tf_keras' fused layer keeps the unbiased variance: 32 values a channel.
        np.testing.assert_allclose(variance, np.mean([y.var((0, 1, 2)) for y in outputs], 0), rtol=0.04)
    assert layer.momentum == pytest.approx(0.99)
    for now, then in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(now, then)


def diagnosed(model, batches, edit, log=print):
    """The logs of an epoch in which `edit` stands for training."""
    diagnosis = callbacks.Diagnosis(batches, batches, log)
    diagnosis.set_model(model)
    diagnosis.on_train_begin()
    diagnosis.on_epoch_begin(0)
    edit()
    logs = {}
    diagnosis.on_epoch_end(0, logs)
    return logs


def test_stale_statistics_are_seen():
    model, batches = network(), data()
    images = np.concatenate([batches[index][0] for index in range(len(batches))])
    with batch_statistics.fresh(model, [batches[index][0] for index in range(len(batches))]):
        logits = model.predict(images, verbose=0)
    labels = (logits[:, 1] - logits[:, 0] > np.median(logits[:, 1] - logits[:, 0])).astype(int)
    head, _ = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([head, np.array([np.median(logits[:, 1] - logits[:, 0]), 0])])  # now it is right
    labelled = Data(images, labels)
    gamma, beta, mean, variance = model.get_layer("bn").get_weights()
    logs = diagnosed(model, labelled, lambda: model.get_layer("bn").set_weights([gamma, beta, mean + 100, variance]))
    stale = np.mean(np.argmax(model.predict(images, verbose=0), axis=-1) == labels)
    assert stale == 0.5  # all activations are 0, all images one class
    assert logs["val_top1_fresh"] > 0.95
    assert logs["kernel_change"] == 0


def test_shares_are_those_of_the_weights_and_inputs():
    model, batches = network(), data()
    kernel = np.zeros((3, 3, 3, 5), "float32")
    kernel[..., 0], kernel[..., 1] = 2.0, -0.5

    def edit():
        model.get_layer("conv").set_weights([kernel, np.zeros(5, "float32")])
        model.get_layer("bn").set_weights([np.ones(5), np.array([2, -1, 2, 2, 0.5]), np.zeros(5), np.full(5, 1e12)])

    logs = diagnosed(model, batches, edit)
    assert logs["kernel_outside"] == pytest.approx(0.2)
    assert logs["kernel_max"] == pytest.approx(2.0)
    assert logs["kernel_mean"] == pytest.approx(0.5)
    assert logs["inputs_outside"] == pytest.approx(0.8)  # of the constants 2, -1, 2, 2 and 0.5, the last is within [0, 1]
    assert logs["kernel_change"] > 0


def nested():
    """The network with its layers in models: one in a list of a class, one called twice, one whose quantizer is any function."""

    class Inner(keras.Model):
        def __init__(self):
            super().__init__()
            self.steps = [layers.QuantConv2D(5, 3, kernel_quantizer=quantizers.DoReFaWeights(2), name="conv")]
            self.steps.append(layers.BatchNormalization(name="bn"))
            self.flat = keras.layers.Flatten()
            self.signs = layers.QuantActivation(quantizers.XnorInputs())
            self.head = layers.QuantDense(2, input_quantizer=abs)

        def call(self, inputs, training=None):
            x = self.steps[1](self.steps[0](inputs), training=training)
            return self.head(self.flat(self.signs(x) + self.signs(2 * x)))

    return Inner()


def test_layers_inside_are_met_and_what_is_left_out_is_said():
    model, batches, lines = nested(), data(), []

    def edit():
        conv, norm = model.steps
        kernel = np.zeros((3, 3, 3, 5), "float32")
        kernel[..., 0] = 2.0
        conv.set_weights([kernel, np.zeros(5, "float32")])
        norm.set_weights([np.ones(5), np.array([2, -2, 0.9, 0.2, -0.6]), np.zeros(5), np.full(5, 1e12)])

    logs = diagnosed(model, batches, edit, lines.append)
    assert logs["kernel_outside"] == pytest.approx(0.2)
    assert logs["kernel_change"] > 0
    assert logs["inputs_outside"] == pytest.approx((0.4 + 0.8) / 2)  # of twice the constants, 0.4 alone is within
    (line,) = lines
    assert line.startswith("Diagnosis leaves head out of inputs_outside")
    assert isinstance(model.signs.input_quantizer, quantizers.XnorInputs)  # it stands in its place again


def forms(pairs):
    """The same images and labels in what `fit` takes."""
    images, labels = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    yield images, labels
    yield images, labels[:, None]
    yield images, np.eye(2)[labels]
    yield lambda: iter(pairs)
    if backend == "tensorflow":
        import tensorflow as tf

        yield tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)


def test_data_in_every_form():
    model, batches = network(), data()
    expected = diagnosed(model, batches, lambda: None)
    for form in forms(batches.pairs):
        found = diagnosed(model, form, lambda: None)
        assert found["val_top1_fresh"] == pytest.approx(expected["val_top1_fresh"], abs=0.1)  # other batches, other statistics
        assert found.keys() == expected.keys()


class Endless:
    """As tf.data says it of a data set that repeats itself."""

    def cardinality(self):
        return -1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (iter([]), "used up after one pass"),
        (np.ones((4, 2)), r"must be batches of \(images, labels\): .*; got ndarray of shape \(4, 2\)"),
        (None, "got NoneType"),
        ({"images": np.ones((2, 4, 4, 3)), "labels": np.zeros(2)}, "got dict"),
        (Endless(), "must end"),
    ],
)
def test_data_that_cannot_be_measured_are_refused_at_once(given, message):
    for pair in ((given, data()), (data(), given)):
        with pytest.raises(ValueError, match=message):
            callbacks.Diagnosis(*pair)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([np.ones((2, 4, 4, 3))], r"must be \(images, labels\); got ndarray"),
        ([({"a": np.ones(2)}, np.ones(2))], "one array of images and one of as many labels; got a tuple of dict, ndarray"),
        ([(np.ones((2, 4, 4, 3)), np.ones(3))], "as many labels; got a tuple of ndarray of shape"),
        ([(np.ones((2, 4, 4, 3)), np.array(["cat", "dog"]))], "must be the numbers of the classes, or one-hot; got <U3"),
        ([], "must hold a batch"),
    ],
)
def test_batches_that_cannot_be_measured_are_refused_before_the_first_epoch(batches, message):
    diagnosis = callbacks.Diagnosis(batches, data())
    diagnosis.set_model(network())
    with pytest.raises(ValueError, match=message):
        diagnosis.on_train_begin()


def test_a_model_without_a_score_for_each_class_is_refused_before_the_first_epoch():
    x = keras.Input((4, 4, 3))
    diagnosis = callbacks.Diagnosis(data(), data())
    diagnosis.set_model(keras.Model(x, keras.layers.Dense(1)(keras.layers.Flatten()(x))))
    with pytest.raises(ValueError, match=r"a score for each class, \(N, classes\); the model gives one tensor of shape \(1, 1\)"):
        diagnosis.on_train_begin()


@slow_on("tf_keras", "jax")
def test_the_flag_adds_the_figures_and_changes_no_training(tmp_path):
    flags = ["--flagfile=configs/dorefa_g.cfg", *TINY, "--epochs=2", "--deterministic"]
    trained(*flags, f"--run_dir={tmp_path / 'plain'}")
    trained(*flags, "--diagnose", f"--run_dir={tmp_path / 'diagnosed'}")
    plain, rows = history(tmp_path / "plain"), history(tmp_path / "diagnosed")
    for name in ("val_top1_fresh", "kernel_change", "kernel_mean", "kernel_max", "kernel_outside", "inputs_outside"):
        assert all(float(row[name]) >= 0 for row in rows), name
        assert name not in plain[0]
    for name in ("loss", "val_loss", "val_top1"):
        assert [row[name] for row in plain] == [row[name] for row in rows], name


@pytest.mark.legacy_only
def test_layers_of_larq_take_part():
    larq = pytest.importorskip("larq")
    inputs = keras.Input((4, 4, 3))
    x = larq.layers.QuantConv2D(5, 3, kernel_quantizer="ste_sign", name="signs")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))

    def edit():
        model.get_layer("signs").set_weights([-weight for weight in model.get_layer("signs").get_weights()])

    assert diagnosed(model, data(), edit)["kernel_change"] == 2.0
