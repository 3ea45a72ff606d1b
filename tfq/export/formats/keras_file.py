"""Keras' own `.keras` file, without the state of the optimizer."""

import textwrap

from tfq.backend.keras import keras, load_model
from tfq.convert.layers import Unsupported
from tfq.export import low_bit

FILENAME = "model.keras"
in_float = low_bit.names
_BATCH_SIZE = 128


def write(model, path, sample=None):
    """Write `model` with its latent kernels, to be trained on or loaded where tfq is installed.

    Args:
        model: functional or Sequential Keras model.
        path: file to write; ends with `.keras`.
        sample: not used.
    """
    # A model of the same layers that was never compiled: the optimizer of a trained one takes twice as much as its weights.
    keras.Model(model.inputs, model.outputs, name=model.name).save(str(path))


def load(path):
    """The function from a batch of images (float32 array) to logits that the model in the file computes.

    Raises:
        Unsupported: Keras cannot load what it saved, such as layers of a class that is not registered.
    """
    try:
        model = load_model(path)
    except (NotImplementedError, TypeError, ValueError) as error:
        # Of an error within a layer, Keras tells all about the model first.
        reason = textwrap.shorten(str(error).split("Exception encountered: ")[-1], 300, placeholder=" ...")
        raise Unsupported(f"Keras cannot load the model that it saved: {reason}") from error
    return lambda images: model.predict(images, batch_size=_BATCH_SIZE, verbose=0)


def sizes(path):
    """(name, kind of layer, bytes, bytes in float32) of each layer with weights."""
    return list(_sizes(load_model(path), ""))


def _sizes(model, prefix):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _sizes(layer, f"{prefix}{layer.name}/")
        elif layer.weights:
            weights = layer.get_weights()
            count = sum(values.size for values in weights)
            yield prefix + layer.name, type(layer).__name__, sum(values.nbytes for values in weights), 4 * count
