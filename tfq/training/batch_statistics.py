"""The statistics of batch normalization as they would be if the weights had stood still."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import numpy as np

from tfq import walk
from tfq.backend.keras import keras


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
