"""The statistics of batch normalization, taken anew: as if the weights had stood still, or where a file lacks them."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import numpy as np

from tfq import walk
from tfq.backend.keras import keras, ops, weight_name


@contextmanager
def fresh(model: keras.Model, batches: Iterable[np.ndarray]) -> Iterator[None]:
    """Inside, each batch normalization holds the mean of its statistics over `batches`; afterwards it has its own again.

    One that is called several times in a pass holds the mean over its calls.

    The moving statistics of training are averages over the last steps, each with other weights. Where low-bit weights flip from
    step to step they describe no network that ever was; those of the weights as they are tell this error from others.

    Args:
        model: a built Keras model; layers of models and layers in it take part.
        batches: the images of the batches, arrays as the model takes them.
    """
    layers = [layer for _, layer in walk.layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    kept = model.get_weights()  # counters of the gradients' noise move as well
    momenta = [layer.momentum for layer in layers]
    try:
        with ExitStack() as averaging:
            for layer in layers:
                averaging.enter_context(_averaging(layer))
            for images in batches:
                model(images, training=True)
        yield
    finally:
        model.set_weights(kept)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def restore_statistics(model: keras.Model, batches: Iterable[np.ndarray]) -> None:
    """Make a model of `tfq.load_packed` or `tfq.zoo.load` one that can be trained further.

    A packed network keeps scale s and shift t of a batch normalization alone, y = s x + t, and the model has mean 0 and variance
    1. Training takes mean m and variance v of the batch instead, so that its first step would compute something else. Here m and
    v become those of the inputs x over `batches`, gamma = s sqrt(v + epsilon), beta = t + s m: the model computes what it did.

    Args:
        model: a functional model, each of whose batch normalizations is called once.
        batches: images as the model takes them, some thousands together, in batches of any size.

    Raises:
        ValueError: there are no images, or a batch normalization has no gamma or beta, or is not over the last axis.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in layers:
        _check(layer)
    if not layers:
        return
    inputs = keras.Model(model.inputs, {layer.name: layer.input for layer in layers})
    sums = {layer.name: np.zeros((2, 1)) for layer in layers}
    count = 0
    for images in batches:
        count += len(images)
        for name, x in inputs.predict_on_batch(images).items():
            sums[name] = sums[name] + len(images) * _moments(x)
    if not count:
        raise ValueError("statistics are of images; got none")
    for layer in layers:
        mean, square = sums[layer.name] / count
        _set_statistics(layer, mean, np.maximum(square - mean**2, 0))


def _check(layer):
    """Raise where gamma and beta cannot take up other statistics."""
    if not (layer.scale and layer.center):
        raise ValueError(f"{layer.name} must have gamma and beta; got scale={layer.scale}, center={layer.center}")
    rank = len(layer.input.shape)
    if [axis % rank for axis in np.ravel(layer.axis)] != [rank - 1]:
        raise ValueError(f"{layer.name} must normalize the last axis; got axis={layer.axis}")


def _moments(x):
    """Mean and mean square of each channel."""
    axes = tuple(range(x.ndim - 1))
    return np.stack([x.mean(axes, np.float64), np.square(x, dtype=np.float64).mean(axes)])


def _set_statistics(layer, mean, variance):
    weights = {weight_name(weight): ops.convert_to_numpy(weight).astype(np.float64) for weight in layer.weights}
    scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + layer.epsilon)
    shift = weights["beta"] - scale * weights["moving_mean"]
    layer.set_weights([scale * np.sqrt(variance + layer.epsilon), shift + scale * mean, mean, variance])


@contextmanager
def _averaging(layer):
    """Inside, each call of a batch normalization gives its momentum the value that makes the moving average the plain one."""
    call, calls = layer.call, count()

    def counted(*args, **kwargs):
        before = next(calls)
        layer.momentum = before / (before + 1)
        return call(*args, **kwargs)

    layer.call = counted
    try:
        yield
    finally:
        del layer.call  # that of the class is behind it
