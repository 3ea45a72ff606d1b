"""larq's ways to tell Keras of a class, and small helpers."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tfq.backend.keras import keras

__all__ = ["memory_as_readable_str", "patch_object", "register_alias", "register_keras_custom_object", "set_precision"]

Named = TypeVar("Named", bound=Any)
_UNITS = ("B", "KiB", "MiB", "GiB")


def register_keras_custom_object(cls: Named) -> Named:
    """Let Keras, and the layers of tfq, find a class or function by its name; as a decorator."""
    keras.saving.get_custom_objects()[cls.__name__] = cls
    return cls


def register_alias(name: str) -> Callable[[Named], Named]:
    """As `register_keras_custom_object`, by another name."""

    def register(cls):
        keras.saving.get_custom_objects()[name] = cls
        return cls

    return register


def set_precision(precision: int = 32) -> Callable[[Named], Named]:
    """Write on a function of one's own, a quantizer, how many bits its output has; as a decorator."""

    def decorate(function):
        function.precision = precision
        return function

    return decorate


def memory_as_readable_str(num_bits: float) -> str:
    """A number of bits as text, in the largest unit of 1024 of which there is one, up to GiB."""
    size = num_bits / 8
    place = next((i for i in range(len(_UNITS)) if size < 1024 ** (i + 1)), len(_UNITS) - 1)
    return f"{size / 1024**place:,.2f} {_UNITS[place]}"


@contextlib.contextmanager
def patch_object(object: Any, name: str, value: Any) -> Iterator[None]:
    """Context in which an attribute of an object has another value."""
    before = getattr(object, name)
    setattr(object, name, value)
    try:
        yield
    finally:
        setattr(object, name, before)
