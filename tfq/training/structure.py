"""Files of weights alone, in which Keras knows a layer by its class and its place: `float.weights.h5` for a quantized network."""

import warnings

import h5py

from tfq.compat import keras
from tfq.complexity.graph import has_graph
from tfq.layers import QuantConv2D, QuantDense

_PLAIN = {QuantConv2D: keras.layers.Conv2D, QuantDense: keras.layers.Dense}
_OWN_OPTIONS = ("input_quantizer", "kernel_quantizer", "gradient_quantizer", "pad_values", "kmap")


class StructureError(RuntimeError):
    """The file does not fit the network; the message says why."""


def is_weights_alone(path):
    """Whether a file holds weights without the network that they are of."""
    if path.name.endswith(".weights.h5"):
        return True
    if path.suffix not in (".h5", ".hdf5") or not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        return "model_config" not in file.attrs


def load(model, path):
    """A copy of `model`, or of the float network of the same architecture, with the weights of the file.

    Layers of the copy have the names that they have in `model`.

    Args:
        model: functional or Sequential model; None raises, since the file alone does not say what its weights are of.
        path: what Keras' `save_weights` wrote.

    Raises:
        StructureError: the weights are neither of the one nor of the other.
    """
    if model is None:
        raise StructureError("it holds weights without their network: load them into a model, and save that as .keras")
    errors = []
    for convert in (_again, _plain):
        try:
            copy = keras.models.clone_model(model, clone_function=convert)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what the other of the two loads
                copy.load_weights(str(path))
        except Exception as error:  # Keras raises what it comes upon, of many classes
            errors.append(error)
        else:
            return copy
    raise StructureError(
        "its weights are neither of this network nor of one with Keras' own layers in place of the quantized ones: "
        f"{' '.join(str(errors[-1]).split())[:300]}; another network, such as one with another head, has to be saved as .keras"
    )


def _again(layer):
    if has_graph(layer):
        return keras.models.clone_model(layer, clone_function=_again)
    return type(layer).from_config(layer.get_config())


def _plain(layer):
    if has_graph(layer):
        return keras.models.clone_model(layer, clone_function=_plain)
    config = layer.get_config()
    if type(layer) not in _PLAIN:
        return type(layer).from_config(config)
    return _PLAIN[type(layer)].from_config({name: value for name, value in config.items() if name not in _OWN_OPTIONS})
