"""Layers that apply another one to each step of a sequence: what counts is the layer in them."""

from typing import Any

from tfq.backend.keras import keras


def unwrapped(layer: Any) -> Any:
    """The layer in a `TimeDistributed`; any other layer itself."""
    return layer.layer if type(layer) is keras.layers.TimeDistributed else layer


def wrap(layer: Any, like: Any) -> Any:
    """`layer` in a wrapper of its own where `like` is one; else `layer`."""
    if unwrapped(like) is like:
        return layer
    config = like.get_config()
    del config["layer"]
    return type(like)(layer, **config)


def kind(layer: Any) -> str:
    """The class of a layer, such as `Dense` or `TimeDistributed(Dense)`."""
    return in_wrapper(type(unwrapped(layer)).__name__, layer)


def in_wrapper(name: str, like: Any) -> str:
    """The name of a class, in that of a wrapper where `like` is one."""
    return name if unwrapped(like) is like else f"{type(like).__name__}({name})"
