"""Which Keras and which backend are in use.

`keras` is Keras 3, or tf_keras where `TF_USE_LEGACY_KERAS=1` is set (the same switch TensorFlow itself reads). `ops` is always
`keras.ops`: its functions also work inside tf_keras layers, on TensorFlow.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import keras as keras_3
from keras import ops

from tfq.files import PathLike
from tfq.optional import require

__all__ = [
    "REPEATS_EDGES",
    "SHARED_STATE",
    "UNCAST",
    "LayerMixin",
    "Logs",
    "PyDataset",
    "Shape",
    "Tensor",
    "add_custom_objects",
    "backend",
    "is_legacy",
    "is_symbolic",
    "keras",
    "keras_3",
    "load_model",
    "ops",
    "own_attributes",
    "sublayers",
    "weight_name",
]

backend = keras_3.backend.backend()
is_legacy = os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True")

# For annotations: what Keras takes for a tensor of the backend, a shape with sizes that are not known, and the
# dictionary of what `fit` measured, which is None before there is any.
Tensor: TypeAlias = Any
Shape: TypeAlias = tuple[int | None, ...]
Logs: TypeAlias = Any

if TYPE_CHECKING:
    import keras
    from keras.layers import Layer as LayerMixin
    from keras.utils import PyDataset
elif is_legacy:
    if backend != "tensorflow":
        raise ImportError(
            f"TF_USE_LEGACY_KERAS=1 asks for tf_keras, which runs on TensorFlow alone, but KERAS_BACKEND is {backend!r}: "
            "unset one of the two"
        )
    keras = require("tf_keras")
else:
    keras = keras_3

if not TYPE_CHECKING:
    LayerMixin = object  # the base of what stands in front of a layer of Keras
    # tf_keras calls it Sequence.
    PyDataset = keras.utils.Sequence if is_legacy else keras.utils.PyDataset

# Arguments of `add_weight` for a kernel that must reach its quantizer in full precision under a mixed-precision policy, and for a
# counter that is the same on all replicas of a distribution strategy.
UNCAST: dict[str, Any]
SHARED_STATE: dict[str, Any]
if is_legacy:
    UNCAST = {"experimental_autocast": False}
    SHARED_STATE = {"aggregation": require("tensorflow").VariableAggregation.ONLY_FIRST_REPLICA}
else:
    UNCAST = {"autocast": False}
    SHARED_STATE = {"aggregation": "only_first_replica"}


# Whether means of windows that reach beyond an image count its edge again (Keras 3.15, with padding="same").
REPEATS_EDGES = backend == "torch"


_SYMBOLIC = keras.__internal__.KerasTensor if is_legacy else keras_3.KerasTensor


def is_symbolic(x: Any) -> bool:
    """Whether `x` is a tensor of a functional model, which has a shape and no values."""
    return isinstance(x, _SYMBOLIC)


def weight_name(variable: Any) -> str:
    """Name of a weight within its layer, such as `kernel`; tf_keras puts those of the layers around it in front."""
    return variable.name.split("/")[-1].split(":")[0]


def sublayers(layer: Any) -> list:
    """The layers that a layer or model holds directly, in any attribute; `tfq.walk` goes through all of them."""
    return list(layer._flatten_layers(include_self=False, recursive=False))  # neither Keras has a public name for it


def own_attributes(layer: Any) -> dict[str, Any]:
    """The attributes of a layer by their names; PyTorch keeps those that are layers apart."""
    attributes = vars(layer)
    return {**attributes, **attributes["_modules"], "_modules": None} if backend == "torch" else attributes


_own_objects: dict[str, Any] = {}


def load_model(path: PathLike) -> Any:
    """The model that Keras saved in a file, not compiled.

    tf_keras looks up by its class alone what is in a wrapper or an .h5 file. Where larq is imported too, `QuantDense` is larq's.
    """
    try:
        return keras.models.load_model(str(path), compile=False)
    except TypeError:
        if not is_legacy:
            raise
        known = keras.saving.get_custom_objects()
        kept = dict(known)
        known.update(_own_objects)  # a scope does not reach what is in a wrapper
        try:
            return keras.models.load_model(str(path), compile=False)
        finally:
            known.update(kept)


def add_custom_objects(objects: Mapping[str, Any]) -> None:
    """Let the Keras in use find these classes by name when it reads a saved model.

    What larq has put there stays, so that its models keep its layers whichever of the two is imported first.
    """
    _own_objects.update(objects)
    known = keras.saving.get_custom_objects()
    known.update({name: found for name, found in objects.items() if not _is_of_larq(known.get(name))})


def _is_of_larq(found):
    return getattr(found, "__module__", "").split(".")[0] == "larq"
