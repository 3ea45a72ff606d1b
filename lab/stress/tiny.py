"""`train.py` with one more network, of which a start costs little: the process that the stress test kills."""

from pathlib import Path

import numpy as np

import models

EPOCHS, STEPS = 60, 6
_BATCH, _SHAPE, _CLASSES = 12, (6, 6, 3), 3
# Quantized in weights, activations and gradients, so that noise and moving statistics are among what must go on.
FLAGS = (
    *("--model=tiny", "--method=dorefa", "--w_bits=2", "--a_bits=2", "--g_bits=6", "--dataset=npz", "--crop", "--flip"),
    *(f"--epochs={EPOCHS}", f"--batch_size={_BATCH}", "--optimizer=adam", "--lr=0.01", "--schedule=cosine", "--seed=5"),
    *("--deterministic", "--diagnose"),
)


def build(scheme, input_shape, num_classes):
    """Two convolutions, of which the second is quantized."""
    from models import scheme as parts
    from tfq.backend.keras import keras

    inputs = keras.Input(input_shape)
    x = parts.batch_norm(parts.float_conv(inputs, 4, 3, "first"), "bn")
    x = parts.batch_norm(scheme.conv(scheme.activation(x, "activation"), 4, 3, "quantized"), "last_bn")
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="head")(keras.layers.Flatten()(x)))


def write_data(path: Path) -> None:
    """Images of noise, whose brightness is their class now and then."""
    rng = np.random.default_rng(0)
    y = np.arange(STEPS * _BATCH) % _CLASSES
    x = (rng.integers(0, 156, (len(y), *_SHAPE)) + 50 * y.reshape(-1, 1, 1, 1)).astype("uint8")
    np.savez(path, x_train=x, y_train=y, x_test=x[:25], y_test=y[:25])


if __name__ == "__main__":
    models.register_network(models.Network("tiny", build))
    import train  # its flags have the networks that there are

    train.command()
