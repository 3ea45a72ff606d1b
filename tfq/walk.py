"""Every layer of a model, through the models and the layers that hold others."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from tfq.backend.keras import keras, own_attributes, sublayers, weight_name

# Where Keras itself keeps layers, or what it can make them of again; those of a class are in its other attributes.
_OF_KERAS = ("_self_", "_auto_config", "_layers", "_tracke", "_inbound", "_outbound")


def layers(model: keras.Model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """The layers inside a model, each once, in front of the layers that it holds itself.

    A layer goes by its path: names in a functional or Sequential model, attributes in a class of one's own, whose layers have
    names that Keras counts up. Such are `backbone/conv1` and `network/blocks/0/norm`. A wrapper (`TimeDistributed`, those of
    tfmot) and the layer in it have one path, that of the layer inside.

    Args:
        model: any Keras model or layer, built or not; of what is not built, what it holds already.

    Yields:
        (path, layer); but for wrappers no path comes twice.
    """
    yield from _inside(model, "", {id(model)}, set())


def weights(model: keras.Model) -> dict[str, dict[str, Any]]:
    """The weights of a model by path and name, each once: {path of the layer: {name of the weight: variable}}.

    Weights that a layer has itself, those of the layers in it go by their own paths; the model's own go by the path `""`. All of
    `model.weights` are there.

    Args:
        model: as in `layers`.
    """
    found, seen = {}, set()
    for path, layer in [("", model), *layers(model)]:
        inner = {id(weight) for child in sublayers(layer) for weight in child.weights}
        for weight in layer.weights:
            if id(weight) not in inner | seen:
                seen.add(id(weight))
                named = found.setdefault(path, {})
                named[_unused(weight_name(weight), named)] = weight
    return found


@contextlib.contextmanager
def standing_in(changes: Iterable[tuple[keras.layers.Layer, str, Any]]) -> Iterator[None]:
    """As long as the context lasts, attributes of layers have other values.

    Args:
        changes: (layer, name of the attribute, value), each attribute once.
    """
    before = [(layer, name, getattr(layer, name)) for layer, name, _ in changes]
    try:
        for layer, name, value in changes:
            setattr(layer, name, value)
        yield
    finally:
        for layer, name, value in before:
            setattr(layer, name, value)


def _inside(parent, prefix, seen, paths):
    wrapped = _wrapped(parent)
    for name, child in _named(parent):
        if id(child) in seen:
            continue
        seen.add(id(child))
        path = prefix.removesuffix("/") if child is wrapped and prefix else _unused(prefix + name, paths)
        paths.add(path)
        yield path, child
        yield from _inside(child, f"{path}/", seen, paths)


def _named(parent):
    children = sublayers(parent)
    by_name = isinstance(parent, keras.Sequential) or hasattr(parent, "_nodes_by_depth")
    attributes = {}
    for name, value in {} if by_name else own_attributes(parent).items():
        if not name.startswith(_OF_KERAS):
            for path, layer in _held(name.strip("_"), value):
                attributes.setdefault(id(layer), path)
    return [(attributes.get(id(child), _name(child)), child) for child in children]


def _held(path, value):
    if isinstance(value, keras.layers.Layer):
        yield path, value
    elif isinstance(value, list | tuple | dict):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _held(f"{path}/{key}", item)


def _name(layer):
    inner = _wrapped(layer)
    return layer.name if inner is None else _name(inner)


def _wrapped(layer):
    """The layer in a wrapper, or None; tf_keras' `Bidirectional` holds two others."""
    inner = layer.layer if isinstance(layer, keras.layers.Wrapper) else None
    return inner if any(child is inner for child in sublayers(layer)) else None


def _unused(name, taken):
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate
