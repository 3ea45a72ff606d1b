"""Trains one network of the training benchmark; each line on standard input asks for one turn."""

import sys
import time

import numpy as np

from tfq import layers
from tfq.backend.keras import keras
from tfq.callbacks import Bfloat16Training
from tfq.optional import require


def main():
    """Answer each line with the images per second of some steps."""
    import models

    name, batch_size, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = _network(name, models)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"])
    generator = np.random.default_rng(0)
    images = generator.standard_normal((batch_size * steps, 32, 32, 3)).astype("float32")
    labels = generator.integers(0, 10, batch_size * steps)
    timer = Timer()
    callbacks = [timer, *([Bfloat16Training()] if name.endswith("_bfloat16") else [])]
    for _ in sys.stdin:
        model.fit(images, labels, batch_size=batch_size, epochs=1, verbose=0, callbacks=callbacks)
        print(batch_size * (len(timer.ends) - 1) / (timer.ends[-1] - timer.ends[0]), flush=True)


class Timer(keras.callbacks.Callback):
    """Notes when each step ended.

    A turn is timed from the end of its first step to the end of its last. The whole of a short `fit` is no measure: tf.data
    sometimes holds its end up until a timer of its own has run out, 10.24 or 20.48 seconds after the start.
    """

    def on_epoch_begin(self, epoch, logs=None):
        """Forget the last turn."""
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        """Note the time."""
        self.ends.append(time.perf_counter())


def _network(name, models):
    if name == "tfq_dorefa_a2w2":
        return models.build("resnet20", method="dorefa", w_bits=2, a_bits=2)
    model = models.build("resnet20", method="float" if "float" in name else "xnor")
    if name == "keras3_float_stock":
        return keras.models.clone_model(model, clone_function=_with_stock_batch_norm)
    if name == "larq_sign":
        return keras.models.clone_model(model, clone_function=lambda layer: _as_larq(layer, "ste_sign"))
    if name == "larq_xnor":
        return keras.models.clone_model(model, clone_function=lambda layer: _as_larq(layer, "magnitude_aware_sign"))
    return model


def _with_stock_batch_norm(layer):
    kind = keras.layers.BatchNormalization if isinstance(layer, layers.BatchNormalization) else type(layer)
    return kind.from_config(layer.get_config())


def _as_larq(layer, kernel_quantizer):
    if not isinstance(layer, layers.QuantConv2D):
        return type(layer).from_config(layer.get_config())
    return require("larq").layers.QuantConv2D(
        layer.filters,
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        use_bias=layer.use_bias,
        input_quantizer="ste_sign",
        kernel_quantizer=kernel_quantizer,
        kernel_constraint="weight_clip",
        name=layer.name,
    )


if __name__ == "__main__":
    main()
