"""Start a network from the weights of another run: the usual second stage of low-bit training."""

import contextlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from tfq import walk
from tfq.backend.keras import keras, load_model, ops
from tfq.files import PathLike
from tfq.layers.state import QuantizerState
from tfq.terminal import Log
from tfq.training import structure, weights

_FLAG = "--init_from"


class TransferError(RuntimeError):
    """The weights cannot be taken over; the message says why."""


def find(source: PathLike, flag: str = _FLAG) -> Path:
    """The checkpoint that `source` means: a file, or the best (else last) one of a run directory.

    Raises:
        TransferError: there is none; the message names the flag.
    """
    source = Path(source)
    names = ("best.keras", "last.keras", "best.h5", "last.h5")  # the latter of int8
    candidates = [source] if source.is_file() else [source / name for name in names]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise TransferError(f"{flag}={source}: there is no such file, and no best or last checkpoint in it")


def load(path: Path, flag: str = _FLAG) -> keras.Model:
    """The network of a checkpoint.

    Raises:
        TransferError: it cannot be read; the message names the flag.
    """
    with _one_line(path, flag):
        return load_model(path)


def read(
    source: PathLike, model: keras.Model | None = None, skip: Sequence[str] = (), flag: str = _FLAG
) -> dict[str, dict[str, np.ndarray]]:
    """The weights that `source` means, as {path of the layer: {name of the weight: array}}; paths are those of `tfq.walk`.

    Args:
        source: run directory, checkpoint of Keras, .npz file of `tfq.training.weights`, or weights alone, as `save_weights` of
            Keras writes them.
        model: the network that weights alone are of, be it with quantized layers or with Keras' own in their place.
        skip: paths of layers, with wildcards, of which weights alone need not fit.
        flag: what named `source`, for messages.

    Raises:
        TransferError: there is no such file, or it cannot be read.
    """
    path = find(source, flag)
    with _one_line(path, flag):
        if path.suffix == ".npz":
            return weights.read(path)
        if structure.is_weights_alone(path):
            return _arrays(structure.load(model, path, skip))
    return _arrays(load(path, flag))


@contextlib.contextmanager
def _one_line(path, flag):
    """Inside, any error becomes one that names flag and file."""
    try:
        yield
    except (weights.WeightsError, structure.StructureError) as error:
        raise TransferError(f"{flag}={path}: {error}") from error
    except Exception as error:  # whatever the reader of a damaged or foreign file comes upon
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TransferError(
            f"{flag}={path} cannot be read: {said[:300]} (tf_keras and Keras 3 do not read each "
            "other's files: start from a run on the same one)"
        ) from error


def initialize(model: keras.Model, source: PathLike, skip: Sequence[str] = (), log: Log = print) -> list[str]:
    """Copy into `model` the weights of the layers that have the same path and shapes in `source`.

    Paths are those of `tfq.walk`: layers of models and layers in the model take part, one inside a wrapper goes by its own name.

    Args:
        model: the model to start, built.
        source: as `read` takes it.
        skip: paths of layers to leave out, with wildcards such as `stage3_*`: the head of a network with other classes.
        log: takes a line on layers of `source` that have no place in the model, where there are such.

    Returns:
        Paths of the layers that kept their own initial values; `layer/weight` where a layer kept one of several. Counters, such
        as the key of the gradients' noise, are no such values, nor are the steps of LSQ, which start with the training.

    Raises:
        TransferError: the model is not built, the file cannot be read, no layer fits, a layer has another shape, or `skip` names
            none.
    """
    if not model.built:
        raise TransferError(f"--init_from={source}: the network has no weights before it is built, by an Input or a first batch")
    given, own = _without(skip, read(source, model, skip), source), walk.weights(model)
    if not any(path in given for path in own):
        raise TransferError(f"--init_from={source}: none of its layers has a name of this network's")
    _check_shapes(own, given, source)
    without = [path for path, arrays in given.items() if path not in own and any(map(_is_float, arrays.values()))]
    if without:
        log(f"==> WARNING: {source} has layers without a place in this network, whose weights are left: {', '.join(without)}")
    kept = {path: _copy(path, named, given.get(path, {})) for path, named in own.items()}
    # What a quantizer keeps starts with the training, from the kernels as they are then.
    states = {path for path, layer in walk.layers(model) if isinstance(layer, QuantizerState)}
    return [name for path, names in kept.items() if path not in states for name in names]


def _arrays(model):
    return {path: {name: ops.convert_to_numpy(w) for name, w in named.items()} for path, named in walk.weights(model).items()}


def _without(skip, layers, source):
    for pattern in skip:
        if not any(fnmatchcase(path, pattern) for path in layers):
            raise TransferError(f"--init_skip={pattern} names no layer of --init_from={source}: it has {', '.join(layers)}")
    return {path: given for path, given in layers.items() if not any(fnmatchcase(path, pattern) for pattern in skip)}


def _check_shapes(own, layers, source):
    """Raise before anything is copied; a head may be of two layers, which are named together."""
    wrong = {path: text for path, named in own.items() if (text := _misfit(path, named, layers.get(path, {})))}
    if wrong:
        more = f", and {len(wrong) - 1} more do not fit" if len(wrong) > 1 else ""
        way_out = f"; --init_skip={','.join(wrong)} starts without" if len(wrong) < structure.MANY else ""
        raise TransferError(f"--init_from={source}: {next(iter(wrong.values()))}{more}{way_out}")


def _misfit(path, own, given):
    for name, array in given.items():
        expected = tuple(own[name].shape) if name in own else "none"
        # A counter that has no place here says nothing of the network.
        if array.shape != expected and (name in own or _is_float(array)):
            return f"{path} has a {name} of shape {array.shape} there, {expected} in this network"
    return None


def _copy(path, own, given):
    """Copy the weights of one layer; returns what was not given."""
    for name, weight in own.items():
        if name in given:
            weight.assign(given[name])
    missing = [name for name, weight in own.items() if name not in given and _is_float(weight)]
    return [f"{path}/{name}" for name in missing] if given else [path] * bool(missing)


def _is_float(array):
    return "float" in str(getattr(array.dtype, "name", array.dtype))
