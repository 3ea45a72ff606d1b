"""What the tests of `quantize_model` look at."""

import numpy as np

from tfq import walk
from tfq.backend.keras import backend, keras, ops
from tfq.layers import QuantizedLayer


class Watching:
    """A quantizer that keeps the values that it gives."""

    def __init__(self, quantizer):
        self.quantizer, self.values = quantizer, set()

    def __call__(self, x, **state):
        quantized = self.quantizer(x, **state)
        self.values |= set(np.unique(ops.convert_to_numpy(quantized)).tolist())
        return quantized


def quantized_layers(model):
    """The quantized layers of a model, by their paths."""
    return {path: layer for path, layer in walk.layers(model) if isinstance(layer, QuantizedLayer)}


def values_seen(model, inputs, training=True):
    """The quantized inputs of each quantized layer, on data: {path: set of values}."""
    layers = quantized_layers(model)
    watching = {path: Watching(layer.input_quantizer) for path, layer in layers.items()}
    with walk.standing_in([(layer, "input_quantizer", watching[path]) for path, layer in layers.items()]):
        model(inputs, training=training)
    return {path: each.values for path, each in watching.items()}


def constant(model, inputs, training=True):
    """Paths of the layers whose quantized inputs are all the same."""
    return [path for path, values in values_seen(model, inputs, training).items() if len(values) < 2]


class Losses(keras.callbacks.Callback):
    """The loss of each batch."""

    def __init__(self):
        super().__init__()
        self.values, self._sum, self._count = [], 0.0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._sum, self._count = 0.0, 0

    def on_train_batch_end(self, batch, logs=None):
        total = float(logs["loss"]) * (self._count + 1)  # `logs` holds the mean of the epoch so far
        self.values.append(total - self._sum)
        self._sum, self._count = total, self._count + 1


def fall(model, x, y, optimizer, steps=50, batch_size=16):
    """Mean loss of the first and of the last five of so many steps."""
    losses = Losses()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=backend == "jax")  # XLA takes minutes for a deep network
    per_epoch = len(y) // batch_size
    model.fit(x, y, batch_size=batch_size, epochs=-(-steps // per_epoch), verbose=0, shuffle=False, callbacks=[losses])
    assert len(losses.values) >= steps
    return np.mean(losses.values[:5]), np.mean(losses.values[steps - 5 : steps])


def images(shape, count=32, classes=4, seed=0):
    """Noise with a colour of its own for each class, and the classes."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    colours = random.uniform(0, 1, size=(classes, shape[-1]))
    pixels = 0.5 * random.uniform(0, 1, size=(count, *shape)) + 0.5 * colours[labels][:, None, None]
    return pixels.astype("float32"), labels
