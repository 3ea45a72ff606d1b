"""One network of the training benchmark, within the process that measures it."""

import time

import numpy as np

from tfq import layers
from tfq.backend.keras import keras
from tfq.callbacks import Bfloat16Training
from tfq.optional import require


class Trainer:
    """A network that trains some steps each time it is asked to.

    Args:
        name: one of `lab.benchmark.train.NETWORKS`.
        batch_size: images a step.
        steps: of a turn.
    """

    def __init__(self, name, batch_size, steps):
        import models

        self._model = _network(name, models)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"])
        generator = np.random.default_rng(0)
        self._images = generator.standard_normal((batch_size * steps, 32, 32, 3)).astype("float32")
        self._labels = generator.integers(0, 10, batch_size * steps)
        self._batch_size, self._timer = batch_size, Timer()
        self._callbacks = [self._timer, *([Bfloat16Training()] if name.endswith("_bfloat16") else [])]

    def turn(self):
        """Images per second of the steps of a turn."""
        options = {"batch_size": self._batch_size, "epochs": 1, "verbose": 0, "callbacks": self._callbacks}
        self._model.fit(self._images, self._labels, **options)
        ends = self._timer.ends
        return self._batch_size * (len(ends) - 1) / (ends[-1] - ends[0])


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
    model = models.build("resnet20", method="float" if "_float" in name else "xnor")
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
