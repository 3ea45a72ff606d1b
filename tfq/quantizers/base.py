"""What all quantizers share: a number of bits, a configuration, equality by configuration."""

import json
import numbers

import numpy as np

from tfq.backend.keras import add_custom_objects, is_legacy, keras

FULL_PRECISION = 32


def register(cls):
    """Make Keras find the class by name when it reads a saved model."""
    if is_legacy:
        add_custom_objects({cls.__name__: cls})  # the name by which tf_keras looks up what is nested in a layer of an .h5 file
    return keras.saving.register_keras_serializable(package="tfq")(cls)


def check_bits(bits, owner):
    """`bits` as an integer of Python if it is 1 to 16, or 32 (off); raise ValueError otherwise."""
    if not _is_integer(bits) or not (1 <= bits <= 16 or bits == FULL_PRECISION):
        raise ValueError(f"{owner}: bits must be an integer from 1 to 16, or 32 (off); got bits={bits!r}")
    return int(bits)


def check_seed(seed, owner):
    """`seed` as an integer of Python, or None; raise ValueError otherwise."""
    if seed is not None and not _is_integer(seed):
        raise ValueError(f"{owner}: seed must be an integer or None; got seed={seed!r}")
    return seed if seed is None else int(seed)


def check_flag(value, owner, name):
    """`value` as a bool of Python if it is True, False, 1 or 0; raise ValueError otherwise."""
    if not isinstance(value, (bool, np.bool_, numbers.Integral)) or value not in (0, 1):
        raise ValueError(f"{owner}: {name} must be True or False; got {name}={value!r}")
    return bool(value)


def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


class Configured:
    """An object that its configuration describes completely: two with the same class and configuration are equal."""

    def get_config(self):
        """Arguments of the constructor, as JSON values."""
        return {}

    @classmethod
    def from_config(cls, config):
        """The object that `config` describes."""
        return cls(**config)

    def _key(self):
        return type(self).__name__, json.dumps(self.get_config(), sort_keys=True)

    def __eq__(self, other):
        return type(other) is type(self) and other._key() == self._key()

    def __hash__(self):
        return hash(self._key())

    def __repr__(self):
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class Quantizer(Configured):
    """Maps a tensor to one of the same shape and dtype whose values need only `bits` bits each (and a scale)."""

    bits = FULL_PRECISION

    def __call__(self, x):
        """Quantize `x`."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__")
