"""Files of weights alone, in which Keras knows a layer by its class and its place: `float.weights.h5` for a quantized network."""

import warnings
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import h5py
import numpy as np

from tfq import walk
from tfq.backend.keras import keras, ops
from tfq.keras_graph import has_graph
from tfq.layers import QuantizedLayer
from tfq.layers.state import QuantizerState
from tfq.terminal import one_line

MANY = 5  # layers that do not fit: it is another network then, not one with another head
_SAVE_WHOLE = "another network has to be saved as .keras"
_NEITHER = "its weights are neither of this network nor of one with Keras' own layers in place of the quantized ones"


class StructureError(RuntimeError):
    """The file does not fit the network; the message says why."""


def is_weights_alone(path: Path) -> bool:
    """Whether a file holds weights without the network that they are of."""
    if path.name.endswith(".weights.h5"):
        return True
    if path.suffix not in (".h5", ".hdf5") or not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        return "model_config" not in file.attrs


def load(model: keras.Model | None, path: Path, skip: Sequence[str] = ()) -> keras.Model:
    """A copy of `model`, or of the float network of the same architecture, with the weights of the file.

    Layers of the copy have the names that they have in `model`. Those that are skipped hold the file's weights where these fit,
    else NaN.

    Args:
        model: functional or Sequential model; None raises, since the file alone does not say what its weights are of.
        path: what Keras' `save_weights` wrote.
        skip: paths of layers, with wildcards, that need not fit.

    Raises:
        StructureError: the weights are neither of the one nor of the other, or a model cannot be copied.
    """
    if model is None:
        raise StructureError("it holds weights without their network: load them into a model, and save that as .keras")
    if not has_graph(model):
        raise StructureError(
            f"it holds weights without their network, and {type(model).__name__}, a class of one's own, cannot be copied to read "
            "them: load them into the network that they are of, and save that as .keras"
        )
    copies, errors = [], []
    for convert in (_again, _plain):
        try:
            copies.append(_copy(model, convert, path))
        except Exception as error:  # Keras raises what it comes upon, of many classes
            errors.append(one_line(error)[:300])
    if not copies:
        raise StructureError(f"{_NEITHER}: {errors[-1]}; {_SAVE_WHOLE}")
    # The right one of the two leaves out the layers of other shapes alone, the other the quantized ones too.
    copy, left_out = min(copies, key=lambda found: len(found[1]))
    wrong = [layer for layer in left_out if not any(fnmatchcase(layer, pattern) for pattern in skip)]
    if wrong:
        more = f" and {len(wrong) - MANY} more" if len(wrong) > MANY else ""
        is_head = len(wrong) < MANY
        way_out = f"--init_skip={','.join(wrong)} starts without" if is_head else _SAVE_WHOLE
        raise StructureError(f"{_NEITHER}: not of {', '.join(wrong[:MANY])}{more}; {way_out}")
    return copy


def _copy(model, convert, path):
    """A copy with the weights of the file, and the paths of the layers that it does not fit."""
    copy = keras.models.clone_model(model, clone_function=convert)
    # What quantizers keep starts with the training: a file of another network need not have it.
    states = {path for path, layer in walk.layers(copy) if isinstance(layer, QuantizerState)}
    weights = [(path, weight) for path, named in walk.weights(copy).items() if path not in states for weight in named.values()]
    floats = [(path, weight) for path, weight in weights if "float" in str(weight.dtype)]
    for _, weight in floats:  # what is not a number afterwards, the file has not given
        weight.assign(np.full(weight.shape, np.nan, "float32"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what does not fit
        # Keras' older format is read as a whole.
        copy.load_weights(str(path), **({"skip_mismatch": True} if path.name.endswith(".weights.h5") else {}))
    return copy, list(dict.fromkeys(layer for layer, weight in floats if _is_missing(weight)))


def _is_missing(weight):
    return bool(np.isnan(ops.convert_to_numpy(ops.cast(weight, "float32"))).all())


def _again(layer):
    if has_graph(layer):
        return keras.models.clone_model(layer, clone_function=_again)
    return type(layer).from_config(layer.get_config())


def _plain(layer):
    if has_graph(layer):
        return keras.models.clone_model(layer, clone_function=_plain)
    stock = layer.stock() if isinstance(layer, QuantizedLayer) else None
    return type(layer).from_config(layer.get_config()) if stock is None else stock
