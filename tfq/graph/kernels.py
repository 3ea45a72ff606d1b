"""Kernels of a graph, and the one place where the whole numbers of a packed kernel become bit planes and back.

A packed kernel stands for scale * w / denominator with whole numbers w. Each `Coding` says which w there are and how they are
stored:

    binary   w = -1, 1                             1 plane: 1 is +1, 0 is -1
    ternary  w = -1, 0, 1                          2 planes: nonzero, positive
    levels   w = 2 q - n,  q = 0 ... n             `bits` planes of q, the lowest first; n = 2^bits - 1 is the denominator
    integer  w = -2^(bits - 1) ... 2^(bits - 1) - 1    `bits` planes of w in two's complement, the lowest first
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# Most bits of a weight in a file.
MAX_BITS = 16


@dataclass(frozen=True)
class FloatKernel:
    """A kernel in float32: (height, width, in, out) or (in, out)."""

    values: np.ndarray

    @property
    def shape(self) -> tuple:
        """Shape of the kernel."""
        return self.values.shape


@dataclass(frozen=True)
class PackedKernel:
    """A kernel of few bits: scale * w / denominator, one scale per filter, or one for all; `pack` makes it, `integers` gives w.

    `planes` is uint8 (number of planes, ceil(weights / 8)). A plane holds one bit a weight in the order (out, height, width, in)
    or (out, in), the first weight in the lowest bit of the first byte; what is left of the last byte is 0. `scale` is float32,
    (out,) or (1,).

    Attributes:
        coding: name of the `Coding`.
        bits: of a weight; number of planes.
        shape: (height, width, in, out) or (in, out).
        planes: see above.
        scale: see above.
    """

    coding: str
    bits: int
    shape: tuple
    planes: np.ndarray
    scale: np.ndarray


class Signs(NamedTuple):
    """One plane of a kernel as it is multiplied: it adds weight * sign where `nonzero`.

    Attributes:
        weight: power of two.
        positive: bool, whether the sign is +1; False where it is zero.
        nonzero: bool; None where all are.
    """

    weight: int
    positive: np.ndarray
    nonzero: np.ndarray | None


class Coding:
    """How whole numbers are stored as bit planes.

    Attributes:
        name: in a file.
        version: of the first file that holds it.
        fixed_bits: bits of a weight; None where each kernel says it.
    """

    name: str
    version = 1
    fixed_bits: int | None = None

    def holds(self, w: np.ndarray, bits: int) -> np.ndarray:
        """Whether each whole number has a code."""
        raise NotImplementedError

    def planes(self, w: np.ndarray, bits: int) -> list[np.ndarray]:
        """The bit planes of whole numbers."""
        raise NotImplementedError

    def signs(self, planes: np.ndarray) -> list[Signs]:
        """What the planes (bits, ...) add up to, as bool."""
        raise NotImplementedError

    def denominator(self, bits: int) -> int:
        """What the whole numbers are divided by."""
        return 1

    def largest(self, bits: int) -> int:
        """No whole number is larger in size."""
        return 1

    def multiplied(self, bits: int) -> int:
        """Number of planes that are each multiplied with the inputs."""
        return 1

    def wrong(self, planes: np.ndarray) -> str | None:
        """What is wrong in the planes, uint8 (bits, bytes), of a file; None for nothing."""
        return None


class _Binary(Coding):
    """Signs."""

    name, fixed_bits = "binary", 1

    def holds(self, w, bits):
        return abs(w) == 1

    def planes(self, w, bits):
        return [w > 0]

    def signs(self, planes):
        return [Signs(1, planes[0], None)]


class _Ternary(Coding):
    """Signs and 0."""

    name, fixed_bits = "ternary", 2

    def holds(self, w, bits):
        return abs(w) <= 1

    def planes(self, w, bits):
        return [w != 0, w > 0]

    def signs(self, planes):
        nonzero, positive = planes
        return [Signs(1, nonzero & positive, nonzero)]

    def wrong(self, planes):
        nonzero, positive = planes
        return "a ternary weight is positive and zero at once" if (positive & ~nonzero).any() else None


class _Levels(Coding):
    """Evenly spaced in [-1, 1], without 0 (DoReFa-Net, equation 9): each plane holds signs that count a power of two."""

    name = "levels"

    def holds(self, w, bits):
        return (abs(w) <= 2**bits - 1) & (w % 2 == 1)

    def planes(self, w, bits):
        return _binary_digits((w + 2**bits - 1) // 2, bits)

    def signs(self, planes):
        return [Signs(1 << bit, plane, None) for bit, plane in enumerate(planes)]

    def denominator(self, bits):
        return 2**bits - 1

    def largest(self, bits):
        return 2**bits - 1

    def multiplied(self, bits):
        return bits


class _Integer(Coding):
    """Two's complement: the highest plane counts -2^(bits - 1)."""

    name, version = "integer", 2

    def holds(self, w, bits):
        return (w >= -(2 ** (bits - 1))) & (w < 2 ** (bits - 1))

    def planes(self, w, bits):
        return _binary_digits(w, bits)

    def signs(self, planes):
        *lower, highest = planes
        signs = [Signs(1 << bit, plane, plane) for bit, plane in enumerate(lower)]
        return [*signs, Signs(1 << len(lower), np.zeros_like(highest), highest)]

    def largest(self, bits):
        return 2 ** (bits - 1)

    def multiplied(self, bits):
        return bits


CODINGS = {coding.name: coding for coding in (_Binary(), _Ternary(), _Levels(), _Integer())}


def _binary_digits(w, bits):
    return [w >> bit & 1 for bit in range(bits)]


def coding_of(kernel: PackedKernel) -> Coding:
    """The `Coding` of a kernel."""
    return CODINGS[kernel.coding]


def pack(w: ArrayLike, coding: str, bits: int | None = None, scale: ArrayLike = 1.0) -> PackedKernel:
    """The kernel scale * w / denominator.

    Args:
        w: whole numbers, (height, width, in, out) or (in, out).
        coding: one of `CODINGS`.
        bits: of a weight; may be left out for binary and ternary.
        scale: one number, or one a filter: (out,).

    Raises:
        ValueError: the coding is none, or does not hold the numbers.
    """
    w = np.asarray(w)
    if coding not in CODINGS:
        raise ValueError(f"a kernel's coding is one of {', '.join(CODINGS)}; got {coding!r}")
    how = CODINGS[coding]
    bits = bits if how.fixed_bits is None else how.fixed_bits
    if bits is None or (how.fixed_bits is None and not 2 <= bits <= MAX_BITS):
        raise ValueError(f"a kernel of {coding} has 2 to {MAX_BITS} bits; got {bits}")
    whole = np.rint(w).astype(np.int64)
    fits = (whole == w) & how.holds(whole, bits)
    if not fits.all():
        raise ValueError(f"a kernel of {coding} with {bits} bits does not hold {w[~fits].flat[0]}")
    scale = np.atleast_1d(np.asarray(scale, np.float32))
    return PackedKernel(coding, bits, w.shape, _packed(how.planes(whole, bits)), scale)


def _packed(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Bits in the order (out, height, width, in), the first weight in the lowest bit of the first byte."""
    rows = np.stack([np.moveaxis(plane, -1, 0).ravel() for plane in planes]).astype(np.uint8)
    return np.packbits(rows, axis=1, bitorder="little")


def signs(kernel: PackedKernel) -> list[Signs]:
    """A kernel as a sum of `Signs`, each in the shape of the kernel."""
    *window, out = kernel.shape
    weights = int(np.prod(kernel.shape, dtype=np.int64))
    bits = np.unpackbits(kernel.planes, axis=1, count=weights, bitorder="little")
    return coding_of(kernel).signs(np.moveaxis(bits.reshape(-1, out, *window).astype(bool), 1, -1))


def integers(kernel: PackedKernel) -> np.ndarray:
    """The whole numbers w of a kernel, int64 in its shape."""
    total = np.zeros(kernel.shape, np.int64)
    for plane in signs(kernel):
        size = plane.weight if plane.nonzero is None else plane.weight * plane.nonzero
        total += np.where(plane.positive, plane.weight, -size)
    return total


def denominator(kernel: PackedKernel) -> int:
    """What the whole numbers of a kernel are divided by."""
    return coding_of(kernel).denominator(kernel.bits)


def values(kernel: FloatKernel | PackedKernel) -> np.ndarray:
    """What a kernel stands for: float64, (height, width, in, out) or (in, out)."""
    if isinstance(kernel, FloatKernel):
        return kernel.values.astype(np.float64)
    return integers(kernel) / denominator(kernel) * kernel.scale.astype(np.float64)


def wrong(coding: str, planes: np.ndarray, weights: int) -> str | None:
    """What is wrong in the bit planes, uint8 (bits, bytes), of a file; None for nothing."""
    if weights % 8 and (planes[:, -1] >> (weights % 8)).any():
        return "bits behind the last weight are not 0"
    return CODINGS[coding].wrong(planes)
