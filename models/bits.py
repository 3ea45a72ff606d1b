"""Which numbers of bits each method takes. Imports nothing, so that a slip is found before Keras is loaded."""

from typing import NamedTuple

METHODS = ("float", "xnor", "ternary", "ternary_a1", "dorefa", "lsq", "int8")

_ANY = (*range(1, 17), 32)

# Of each method the numbers of bits it can have, the default first; None where the user has to say.
_CHOICES = {
    "float": {"w_bits": (32,), "a_bits": (32,), "g_bits": (32,)},
    "xnor": {"w_bits": (1,), "a_bits": (1,), "g_bits": (32,)},
    "ternary": {"w_bits": (2,), "a_bits": (32, 1), "g_bits": (32,)},
    "ternary_a1": {"w_bits": (2,), "a_bits": (1,), "g_bits": (32,)},
    "dorefa": {"w_bits": (None, *_ANY), "a_bits": (None, *_ANY), "g_bits": (32, *_ANY)},
    "lsq": {"w_bits": (None, *_ANY[1:]), "a_bits": (None, *_ANY), "g_bits": (32,)},
    "int8": {"w_bits": (8,), "a_bits": (8,), "g_bits": (32,)},
}


class Bits(NamedTuple):
    """Bits of the weights, the activations and the gradients; 32 is float."""

    weights: int
    activations: int
    gradients: int


def resolve(method, w_bits=None, a_bits=None, g_bits=None):
    """The bits of a network, each argument checked against what the method can do.

    Args:
        method: one of `METHODS`.
        w_bits: bits of the weights; None for the method's own.
        a_bits: bits of the activations; None for the method's own.
        g_bits: bits of the gradients; None for the method's own.

    Raises:
        ValueError: an unknown method, or a number of bits it cannot have; the message names the argument.
    """
    if method not in _CHOICES:
        raise ValueError(f"method={method!r} is unknown; known are {', '.join(METHODS)}")
    given = {"w_bits": w_bits, "a_bits": a_bits, "g_bits": g_bits}
    return Bits(*(_resolve_one(method, name, value) for name, value in given.items()))


def _resolve_one(method, name, value):
    default, *others = _CHOICES[method][name]
    if value is None and default is None:
        raise ValueError(f"method={method!r} needs {name}: give {min(others)} to 16, or 32 for float")
    if value is None:
        return default
    if value not in _CHOICES[method][name]:
        allowed = (
            f"{min(others)} to 16, or 32 for float" if len(others) > 2 else " or ".join(str(bits) for bits in (default, *others))
        )
        raise ValueError(f"{name}={value} does not fit method={method!r}: it must be {allowed}")
    return value
