"""Start a network from the weights of another run: the usual second stage of low-bit training."""

from fnmatch import fnmatchcase
from pathlib import Path

from tfq.compat import keras, ops, weight_name
from tfq.training import weights

_MANY = 5  # layers that do not fit: it is another network then, not one with another head


class TransferError(RuntimeError):
    """The weights cannot be taken over; the message says why."""


def find(source):
    """The checkpoint that `source` means: a file, or the best (else last) one of a run directory."""
    source = Path(source)
    names = ("best.keras", "last.keras", "best.h5", "last.h5")  # the latter of int8
    candidates = [source] if source.is_file() else [source / name for name in names]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise TransferError(f"--init_from={source}: there is no such file, and no best or last checkpoint in it")


def read(source):
    """The weights that `source` means, as {name of the layer: {name of the weight: array}}.

    Args:
        source: run directory, checkpoint of Keras, or .npz file of `tfq.training.weights`.

    Raises:
        TransferError: there is no such file, or it cannot be read.
    """
    path = find(source)
    try:
        if path.suffix == ".npz":
            return weights.read(path)
        donor = keras.models.load_model(str(path), compile=False)
    except weights.WeightsError as error:
        raise TransferError(f"--init_from={path}: {error}") from error
    except Exception as error:  # whatever the reader of a damaged or foreign file comes upon
        raise TransferError(
            f"--init_from={path} cannot be read: {str(error).splitlines()[0][:300]} (tf_keras and Keras 3 do not read each "
            "other's files: start from a run on the same one)"
        ) from error
    return {_name(layer): {name: ops.convert_to_numpy(w) for name, w in _named(layer).items()} for layer in donor.layers}


def initialize(model, source, skip=()):
    """Copy into `model` the weights of the layers that have the same name and shapes in `source`.

    Args:
        model: the model to start; a layer inside a wrapper of tfmot goes by its own name.
        source: as `read` takes it.
        skip: names of layers to leave out, with wildcards such as `stage3_*`: the head of a network with other classes.

    Returns:
        Names of the layers with weights that kept their own initial values.

    Raises:
        TransferError: the file cannot be read, no layer fits, a layer has another shape, or `skip` names none.
    """
    given = _without(skip, read(source), source)
    _check_shapes(model, given, source)
    skipped = [layer.name for layer in model.layers if layer.weights and not _copy(layer, given)]
    if len(skipped) == sum(bool(layer.weights) for layer in model.layers):
        raise TransferError(f"--init_from={source}: none of its layers has a name of this network's")
    return skipped


def _without(skip, layers, source):
    for pattern in skip:
        if not any(fnmatchcase(name, pattern) for name in layers):
            raise TransferError(f"--init_skip={pattern} names no layer of --init_from={source}: it has {', '.join(layers)}")
    return {name: given for name, given in layers.items() if not any(fnmatchcase(name, pattern) for pattern in skip)}


def _named(layer):
    return {weight_name(weight): weight for weight in layer.weights}


def _check_shapes(model, layers, source):
    """Raise before anything is copied; a head may be of two layers, which are named together."""
    wrong = {_name(layer): text for layer in model.layers if (text := _misfit(layer, layers))}
    if wrong:
        more = f", and {len(wrong) - 1} more do not fit" if len(wrong) > 1 else ""
        way_out = f"; --init_skip={','.join(wrong)} starts without" if len(wrong) < _MANY else ""
        raise TransferError(f"--init_from={source}: {next(iter(wrong.values()))}{more}{way_out}")


def _misfit(layer, layers):
    own = _named(layer)
    for name, array in layers.get(_name(layer), {}).items():
        expected = tuple(own[name].shape) if name in own else "none"
        if array.shape != expected:
            return f"{layer.name} has a {name} of shape {array.shape} there, {expected} in this network"
    return None


def _copy(layer, layers):
    given = layers.get(_name(layer))
    if not given:
        return False
    own = _named(layer)
    for name, array in given.items():
        own[name].assign(array)
    return True


def _name(layer):
    return getattr(layer, "layer", layer).name  # a wrapper goes by the name of the layer inside
