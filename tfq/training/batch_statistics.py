"""The statistics of batch normalization as they would be if the weights had stood still."""

from contextlib import contextmanager

from tfq import walk
from tfq.compat import keras


@contextmanager
def fresh(model, batches):
    """Inside, each batch normalization holds the mean of its statistics over `batches`; afterwards it has its own again.

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
        for count, images in enumerate(batches):
            for layer in layers:
                layer.momentum = count / (count + 1)  # makes the moving average the plain one
            model(images, training=True)
        yield
    finally:
        model.set_weights(kept)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
