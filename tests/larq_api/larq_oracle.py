"""larq's quantizers and activations in NumPy, float32, operation by operation: values and gradients for an upstream gradient.

`test_quantizers_against_larq.py` tries it against larq itself. Where larq gives NaN for a finite operand, this gives the limit.
"""

from typing import NamedTuple

import numpy as np

F = np.float32


class Case(NamedTuple):
    """A quantizer of larq.

    Args:
        name: of the class.
        arguments: of its constructor.
        value: of x.
        gradient: of x and the upstream gradient.
        boundaries: where the value or the gradient jumps.
    """

    name: str
    arguments: dict
    value: object
    gradient: object
    boundaries: tuple


def sign(x):
    return np.where(x >= 0, F(1), F(-1))


def window(x, g, clip_value):
    return g if clip_value is None else np.where(np.abs(x) <= F(clip_value), g, F(0))


def ternary(x, threshold):
    return (x >= F(threshold)).astype("float32") - (x <= -F(threshold)).astype("float32")


def swish_gradient(x, g, beta):
    with np.errstate(over="ignore"):
        t = np.clip(F(beta) * x, -100, 100)
        return g * F(beta) * (F(2) - t * np.tanh(t * F(0.5))) / (F(1) + np.cosh(t))


def levels(x, bits):
    n = F(2**bits - 1)
    return np.rint(np.clip(x, F(0), F(1)) * n) / n


def _clipped(name, value, boundaries, clips=(1.0, 1.3, None), **arguments):
    return [
        Case(
            name, {**arguments, "clip_value": c}, value, lambda x, g, c=c: window(x, g, c), (*boundaries, *((c, -c) if c else ()))
        )
        for c in clips
    ]


CASES = [
    *_clipped("SteSign", sign, (0,)),
    *_clipped("SteHeaviside", lambda x: (x > 0).astype("float32"), (0,)),
    *_clipped("SteTern", lambda x: ternary(x, 0.05), (0.05, -0.05)),
    *_clipped("SteTern", lambda x: ternary(x, 0.3), (0.3, -0.3), (1.3,), threshold_value=0.3),
    Case(
        "ApproxSign",
        {},
        sign,
        lambda x, g: np.where(np.abs(x) <= 1, (F(2) - F(2) * np.abs(x)) * g, F(0)),
        (0, 1, -1),
    ),
    *[Case("SwishSign", {"beta": beta}, sign, lambda x, g, beta=beta: swish_gradient(x, g, beta), (0,)) for beta in (5.0, 10.0)],
    *[
        Case(
            "DoReFa",
            {"k_bit": bits, "mode": "activations"},
            lambda x, bits=bits: levels(x, bits),
            lambda x, g: np.where((x >= 0) & (x <= 1), g, F(0)),
            (0, 1, *((np.arange(2**bits - 1) + 0.5) / (2**bits - 1))),
        )
        for bits in (1, 2, 4)
    ],
]


def operands():
    """10^6 random values, and each boundary of any case with its neighbours; those of 0 are the smallest normal numbers."""
    rng = np.random.default_rng(0)
    at = F(sorted({abs(boundary) for case in CASES for boundary in case.boundaries} - {0}))
    near = np.concatenate([at, np.nextafter(at, F(np.inf)), np.nextafter(at, F(0)), F([0, 1.18e-38, 2, 30, 1e30])])
    x = np.concatenate([near, -near, rng.normal(size=10**6).astype("float32")])
    return x, rng.normal(size=x.shape).astype("float32")


def is_near(x, boundaries, ulps=2):
    """Which values are at most so many neighbours from a boundary, but for 0, whose neighbours are further than any error."""
    found = np.zeros(x.shape, bool)
    for boundary in F(boundaries):
        if boundary:
            found |= np.abs(x - boundary) <= ulps * np.spacing(np.abs(boundary))
    return found
