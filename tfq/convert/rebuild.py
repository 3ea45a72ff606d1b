"""A model built again, call by call, from other layers.

`keras.models.clone_model` exchanges layers, but not calls: in tf_keras it has no `call_function`, and in Keras 3 it takes none
for a Sequential model.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tfq import walk
from tfq.backend.keras import keras, keras_3, ops
from tfq.keras_graph import arguments_of, has_graph, layer_of, nodes, outputs_of

# A new layer for one of the model, by its path.
Make = Callable[[str, Any], Any]


def clone(layer: Any) -> Any:
    """A new layer of the same class and options; an operation of `keras.ops`, which keeps nothing, as it is."""
    return type(layer).from_config(layer.get_config()) if isinstance(layer, keras.layers.Layer) else layer


def check_graph(model: Any, caller: str) -> None:
    """Raise unless `model` is made of layers that are called one by one.

    Raises:
        TypeError: it is no model of Keras.
        ValueError: it computes in its own `call`, or is not built.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"{caller} takes a model of {keras.__name__}; got {type(model).__name__}")
    name = f"{type(model).__name__} {model.name!r}"
    if isinstance(model, keras.Sequential) and not has_graph(model):
        raise ValueError(f"{caller} takes a built model; got the {name}: let it begin with keras.Input(shape)")
    if not has_graph(model) or not computes_its_graph(model):
        raise ValueError(
            f"{caller} takes a functional or a Sequential model; got the {name}, which computes in its own `call`: write that "
            "with tfq's layers, or give the functional models in it one by one"
        )


def computes_its_graph(model: Any) -> bool:
    """Whether a model with a graph of layers computes what the graph says."""
    return type(model).call.__module__.split(".")[0] == keras.__name__.split(".")[0]


def rebuild(
    model: keras.Model,
    make: Make,
    dropped: Collection[int] = (),
    in_front: Mapping[int, Sequence[Any]] | None = None,
) -> keras.Model:
    """The model again, of new layers; it has the same names, inputs and outputs, but for what is changed.

    Args:
        model: functional or built Sequential model; models in it are built again too.
        make: gives the new layer for a layer and its path, once each.
        dropped: `id` of nodes of the graph whose calls are left out, so that their input passes through.
        in_front: new layers in front of each call of a layer, by the `id` of that.
    """
    return _Rebuilt(make, dropped, in_front or {}).model(model, "")


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give the layers of `target` the weights that the layers of the same paths have in `source`.

    Raises:
        RuntimeError: a weight of `source` has no place in `target`.
    """
    own = walk.weights(target)
    for path, named in walk.weights(source).items():
        for name, weight in named.items():
            if name not in own.get(path, {}):
                raise RuntimeError(f"the weight {name!r} of layer {path!r} has no place in the new model")
            own[path][name].assign(ops.convert_to_numpy(weight))


class _Rebuilt:
    def __init__(self, make: Make, dropped: Collection[int], in_front: Mapping[int, Sequence[Any]]) -> None:
        self._make = make
        self._dropped = dropped
        self._in_front = in_front
        self._layers: dict[int, Any] = {}  # new ones, by the `id` of the old

    def model(self, model, prefix):
        made = self._sequential(model, prefix) if isinstance(model, keras.Sequential) else self._functional(model, prefix)
        if not model.trainable:  # True would thaw the layers in it
            made.trainable = False
        return made

    def _sequential(self, model, prefix):
        layers = []
        for node in nodes(model):
            layer = layer_of(node)
            if id(node) not in self._dropped:
                layers += [*self._in_front.get(id(layer), ()), self._layer(layer, prefix)]
        return keras.Sequential(layers, name=model.name)

    def _functional(self, model, prefix):
        tensors = {}
        for node in nodes(model):
            layer = layer_of(node)
            args, kwargs = _mapped(arguments_of(node), tensors)
            if isinstance(layer, keras.layers.InputLayer):
                given = self._layer(layer, prefix).output
            elif id(node) in self._dropped:
                given = next(leaf for leaf in keras_3.tree.flatten((args, kwargs)) if _is_tensor(leaf))
            else:
                for added in self._in_front.get(id(layer), ()):
                    args = (added(args[0]), *args[1:])
                given = self._layer(layer, prefix)(*args, **kwargs)
            tensors.update(zip(map(id, outputs_of(node)), keras_3.tree.flatten(given), strict=True))
        inputs, outputs = _mapped((model.input, model.output), tensors)
        return _class_of(model)(inputs=inputs, outputs=outputs, name=model.name)

    def _layer(self, layer, prefix):
        if id(layer) not in self._layers:
            path = prefix + layer.name
            enters = has_graph(layer) and computes_its_graph(layer)
            self._layers[id(layer)] = self.model(layer, f"{path}/") if enters else self._make(path, layer)
        return self._layers[id(layer)]


def _mapped(structure, tensors):
    return keras_3.tree.map_structure(lambda leaf: tensors.get(id(leaf), leaf), structure)


def _is_tensor(leaf):
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _class_of(model):
    """The class of the model where that is made as any functional one is; it may have a `train_step` of its own."""
    plain = type(model).__init__.__module__.split(".")[0] == keras.__name__.split(".")[0]
    is_functional = type(model).__module__.split(".")[0] == keras.__name__.split(".")[0]
    return type(model) if plain and not is_functional else keras.Model
