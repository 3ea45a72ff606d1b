"""Products in bfloat16 while training, in float32 everywhere else."""

from pathlib import Path

import numpy as np
import pytest
from conftest import array, tensor
from running import TINY, history, trained

from tfq import callbacks
from tfq.compat import allow_bfloat16, keras
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


@pytest.mark.tensorflow_only
@needs_bfloat16
def test_it_rounds_products_and_can_be_switched():
    images, labels = arrays()
    model = compiled()
    exact = model.evaluate(images, labels, verbose=0)
    try:
        allow_bfloat16(True)
        rounded = model.evaluate(images, labels, verbose=0)
    finally:
        allow_bfloat16(False)
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

    try:
        allow_bfloat16(True)
        found, expected = kernel_gradient(DoReFaGradients(12, seed=1)), kernel_gradient(None)
    finally:
        allow_bfloat16(False)
    assert np.linalg.norm(found - expected) < 0.003 * np.linalg.norm(expected)  # 0.0009 of the 12 bits; 0.009 where it is rounded


def test_the_run_is_one_of_float32(tmp_path):
    trained("--flagfile=configs/xnor.cfg", *TINY, "--epochs=1", "--bfloat16", f"--run_dir={tmp_path}")
    assert f"{float(history(tmp_path)[0]['val_top1']):.3%}" in trained("--evaluate", f"--run_dir={tmp_path}")
