"""Products in bfloat16 while training, in float32 everywhere else."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import array, tensor
from running import TINY, history, slow_on, trained

import tfq
from lab.equality import command
from lab.sweep import zoo
from tfq import callbacks
from tfq.backend.keras import backend, keras, ops
from tfq.backend.rounding import bfloat16_products, exact_products
from tfq.cli import program
from tfq.cli.config import TrainingConfig
from tfq.export.run import RunError
from tfq.layers import QuantConv2D
from tfq.quantizers import DoReFaGradients

_CPU_INFO = Path("/proc/cpuinfo")
needs_bfloat16 = pytest.mark.skipif(
    not (_CPU_INFO.exists() and "avx512_bf16" in _CPU_INFO.read_text()), reason="the processor does not multiply bfloat16"
)


def compiled():
    inputs = keras.Input((8, 8, 16))
    x = keras.layers.Conv2D(32, 3)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def arrays():
    generator = np.random.default_rng(0)
    return generator.standard_normal((64, 8, 8, 16)).astype("float32"), generator.integers(0, 3, 64)


def test_validation_is_in_float32():
    images, labels = arrays()
    model = compiled()
    fitted = model.fit(
        images, labels, epochs=2, verbose=0, validation_data=(images, labels), callbacks=[callbacks.Bfloat16Training()]
    )
    assert fitted.history["val_loss"][-1] == pytest.approx(model.evaluate(images, labels, verbose=0), rel=1e-6)


class Dtypes(keras.layers.Layer):
    """Passes its inputs on and keeps their dtype, in training and in a test."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def call(self, inputs, training=None):
        self.seen["training" if training else "test"] = keras.backend.standardize_dtype(inputs.dtype)
        return inputs


@pytest.mark.keras3_only  # layers of tf_keras cannot change their policy
def test_layers_pass_bfloat16_on_while_they_train_on_an_accelerator():
    images, labels = arrays()
    behind, last = Dtypes(), keras.layers.Dense(3)
    inputs = keras.Input((8, 8, 16))
    x = behind(QuantConv2D(8, 3, kernel_quantizer="xnor_weights", input_quantizer="xnor_inputs")(inputs))
    kept = keras.layers.Dense(4, dtype="mixed_float16")
    model = keras.Model(inputs, last(kept(keras.layers.Flatten()(x))))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [layer.dtype_policy.name for layer in model.layers]
    behind.seen.clear()  # of the symbolic call
    fitted = model.fit(
        images, labels, epochs=2, verbose=0, validation_data=(images, labels), callbacks=[callbacks.Bfloat16Training(mixed=True)]
    )
    assert behind.seen == {"training": "bfloat16", "test": "float32"}
    assert [layer.dtype_policy.name for layer in model.layers] == before
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert fitted.history["val_loss"][-1] == pytest.approx(model.evaluate(images, labels, verbose=0), rel=1e-6)


@pytest.mark.keras3_only  # layers of tf_keras cannot change their policy
def test_which_layers_take_the_policy():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4), keras.layers.Dense(4, dtype="mixed_float16"), keras.layers.Dense(3)]
    )
    seen, at_end = [], []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append([layer.compute_dtype for layer in model.layers]),
        on_epoch_end=lambda epoch, logs: at_end.append([layer.compute_dtype for layer in model.layers]),
    )
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0, callbacks=[callbacks.Bfloat16Training(mixed=True), note])
    assert seen == [["bfloat16", "float16", "float32"]]  # the last gives the output
    # A checkpoint at the end of an epoch is one of float32, though nothing was validated.
    assert at_end == [["float32", "float16", "float32"]]


def precision():
    """What products are computed in, which a processor does not show: JAX says it of a traced one, the others by a switch."""
    if backend == "jax":
        import jax

        return str(jax.make_jaxpr(ops.matmul)(np.ones((2, 2), "float32"), np.ones((2, 2), "float32")))
    if backend == "tensorflow":
        import tensorflow as tf

        rounds = tf.config.optimizer.get_experimental_options().get("auto_mixed_precision_onednn_bfloat16", False)
        return tf.config.experimental.tensor_float_32_execution_enabled(), rounds
    import torch

    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()


EXACT = {"jax": "HIGHEST", "tensorflow": (False, False), "torch": (False, "highest")}[backend]


def is_exact():
    return EXACT in precision() if backend == "jax" else precision() == EXACT


def test_products_are_exact_only_where_it_is_asked_for():
    before = precision()
    assert not is_exact()
    with exact_products():
        assert is_exact()
        with bfloat16_products():
            assert not is_exact()
            with exact_products():
                assert is_exact()
            rounded = precision()
            with bfloat16_products():
                pass
            assert precision() == rounded != before
        assert is_exact()
    assert precision() == before


def test_train_py_computes_in_float32(monkeypatch):
    seen = []
    monkeypatch.setattr(program, "evaluate", lambda *_: seen.append(is_exact()))
    program.run(TrainingConfig(dataset="digits", evaluate=True), backend, directory=None, build=None)
    assert seen == [True]


def test_so_do_the_tests_of_packed_networks(monkeypatch):
    seen = []
    images = np.zeros((4, 8, 8, 1), np.uint8)
    dataset = SimpleNamespace(x_test=images, y_test=np.zeros(4, int))
    network = SimpleNamespace(predict_on_batch=lambda batch: seen.append(is_exact()) or np.zeros((len(batch), 2)))
    monkeypatch.setattr(tfq, "load_packed", lambda path: network)
    assert zoo._keras_top1("file", SimpleNamespace(pixel_mean=[0.0], pixel_std=[1.0]), dataset) == 100
    assert seen == [True]


def test_so_does_the_comparison_of_the_runtime(monkeypatch):
    seen = []
    monkeypatch.setattr(command.trained, "network", lambda run: seen.append(is_exact()) or (None, None, None))
    monkeypatch.setattr(command.trained, "flags", lambda run: {})
    with pytest.raises(RunError):
        command.compare(SimpleNamespace(run_dir="x"))
    assert seen == [True]


def test_so_does_the_diagnosis(monkeypatch):
    seen = []
    diagnosis = callbacks.Diagnosis(arrays(), arrays())
    monkeypatch.setattr(diagnosis, "_val_top1", lambda: seen.append(is_exact()))
    diagnosis.set_model(compiled())
    diagnosis.on_train_begin()
    diagnosis.on_epoch_end(0, {})
    assert seen == [True]


def test_validation_is_exact_and_what_follows_is_as_before():
    images, labels = arrays()
    model, seen = compiled(), []
    before = precision()
    note = keras.callbacks.LambdaCallback()
    note.on_test_batch_begin = lambda batch, logs=None: seen.append(is_exact())
    at_end = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(precision() == before))
    fit = {"epochs": 1, "batch_size": 64, "verbose": 0, "validation_data": (images, labels)}
    model.fit(images, labels, **fit, callbacks=[callbacks.Bfloat16Training(), note, at_end])
    assert seen == [True, True]
    assert precision() == before


EXACT_AT_CALLS = []


@keras.saving.register_keras_serializable("test_bfloat16")
class Precision(keras.layers.Layer):
    """Passes its inputs on and keeps whether products were exact when it was called."""

    def call(self, inputs):
        EXACT_AT_CALLS.append(is_exact())
        return inputs


def test_an_export_is_compared_in_float32(tmp_path):
    images, _ = arrays()
    inputs = keras.Input((8, 8, 16))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(Precision()(inputs))))
    EXACT_AT_CALLS.clear()  # that of the symbolic call
    tfq.export_model(model, tmp_path, ["keras"], images=images)
    assert set(EXACT_AT_CALLS) == {True}


@pytest.mark.tensorflow_only
@needs_bfloat16
def test_it_rounds_products_and_can_be_switched():
    images, labels = arrays()
    model = compiled()
    exact = model.evaluate(images, labels, verbose=0)
    with bfloat16_products():
        rounded = model.evaluate(images, labels, verbose=0)
    assert rounded == pytest.approx(exact, rel=0.02)
    assert rounded != pytest.approx(exact, rel=1e-6)
    assert model.evaluate(images, labels, verbose=0) == pytest.approx(exact, rel=1e-6)


@pytest.mark.tensorflow_only
@needs_bfloat16
def test_quantized_gradients_are_those_of_float32():
    """Between two products, where elementwise ops are rounded too, unless they lead to the levels of a quantizer."""
    images, _ = arrays()

    def kernel_gradient(gradient_quantizer):
        import tensorflow as tf

        keras.utils.set_random_seed(1)
        inputs = keras.Input((8, 8, 16))
        y = QuantConv2D(32, 3, gradient_quantizer=gradient_quantizer)(inputs)
        model = keras.Model(inputs, keras.layers.Conv2D(32, 3)(y))

        @tf.function
        def gradient(x):
            with tf.GradientTape() as tape:
                y = model(x, training=True)
                loss = tf.reduce_sum(y**3)
            return tape.gradient(loss, model.trainable_variables)[0]

        return array(gradient(tensor(images)))

    with bfloat16_products():
        found, expected = kernel_gradient(DoReFaGradients(12, seed=1)), kernel_gradient(None)
    assert np.linalg.norm(found - expected) < 0.003 * np.linalg.norm(expected)  # 0.0009 of the 12 bits; 0.009 where it is rounded


@slow_on("tf_keras", "jax")
def test_the_run_is_one_of_float32(tmp_path):
    trained("--flagfile=configs/xnor.cfg", *TINY, "--epochs=1", "--bfloat16", f"--run_dir={tmp_path}")
    assert f"{float(history(tmp_path)[0]['val_top1']):.3%}" in trained("--evaluate", f"--run_dir={tmp_path}")
