"""One process of a distributed run, tiny: python worker.py RUN_DIR FLAG... writes RUN_DIR/weights-WORKER.npz too."""

import os
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/training")]


def main(run_dir, *arguments):
    import train

    train.FLAGS(["train.py", f"--run_dir={run_dir}", *arguments])
    backend = train.choose_backend()
    if os.environ.get("TFQ_TEST_DEVICES") and backend != "jax":
        two_devices()
    from tfq.cli import program
    from tfq.distribute.sigterm import Preempted
    from tfq.terminal import STOPPED

    try:
        run(train, program, backend, setattr)
    except Preempted as error:
        print(error, flush=True)
        os._exit(STOPPED)
    except program.ERRORS as error:
        print(error, flush=True)
        os._exit(1)


def run(train, program, backend, patch):
    """Train by the flags that are parsed, with data and network of here."""
    directory = train.run_directory()
    if train._is_chief():
        train.claim(directory, backend)
    patch(program.data, "load", lambda *_, **__: data())
    patch(program.fitting, "tensorboard", lambda *_: [watcher(train.FLAGS.run_dir)])
    patch(program.plot, "curves", lambda *_: None)
    program.run(train.config(), backend, directory, network)


def two_devices():
    """Of one processor; JAX takes them from its environment."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def data():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (60, 6, 6, 3)).astype("uint8")
    y = np.arange(60) % 3
    from tfq.data import dataset

    return dataset.make("npz", (x, y, x[:13], y[:13]), 3, False, "made")


def network(name, input_shape, num_classes, method, **options):
    """With batch normalization on both paths, fused and not; quantized where the method says so."""
    from tfq import layers
    from tfq.backend.keras import keras
    from tfq.quantizers import DoReFaGradients

    quantized = method != "float"
    given = {}
    if quantized:
        given = {"input_quantizer": f"{method}_inputs", "kernel_quantizer": f"{method}_weights"}
    if method == "dorefa":
        from tfq import quantizers

        given = {
            "input_quantizer": quantizers.LSQInputs(2),
            "kernel_quantizer": quantizers.DoReFaWeights(2),
            "gradient_quantizer": DoReFaGradients(4, seed=1),
        }
    inputs = keras.Input(input_shape)
    x = layers.BatchNormalization(name="bn")(keras.layers.Conv2D(4, 3, name="first")(inputs))
    x = layers.QuantConv2D(4, 3, name="quantized", **given)(x)
    x = layers.BatchNormalization(name="flat_bn")(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="head")(x))


def watcher(run_dir):
    """Writes the weights of this worker at the end; where the test asks for it, ends its process."""
    from tfq.backend.keras import keras

    worker = os.environ.get("TFQ_TEST_WORKER", "0")

    class Watcher(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.steps = getattr(self, "steps", 0) + 1
            if os.environ.get("TFQ_TEST_SIGNAL") and self.steps == int(os.environ["TFQ_TEST_STEP"]):
                os.kill(os.getpid(), int(os.environ["TFQ_TEST_SIGNAL"]))

        def on_train_end(self, logs=None):
            np.savez(Path(run_dir) / f"weights-{worker}.npz", *self.model.get_weights())

    return Watcher()


if __name__ == "__main__":
    main(*sys.argv[1:])
