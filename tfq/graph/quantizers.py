"""Quantizers of inputs, as a graph holds them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sign:
    """+1 for x >= 0, else -1 (XNOR-Net)."""

    @property
    def highest(self) -> int:
        """The integer that the largest value stands for."""
        return 1

    def integers(self, x: np.ndarray) -> np.ndarray:
        """Values as integers -1 and 1, float64."""
        return np.where(x >= 0, 1.0, -1.0)


@dataclass(frozen=True)
class Levels:
    """round(n clip(x, 0, 1)) / n with n = 2^bits - 1, ties to even (DoReFa-Net, equation 5)."""

    bits: int

    @property
    def highest(self) -> int:
        """The integer that the largest value stands for: n."""
        return 2**self.bits - 1

    def integers(self, x: np.ndarray) -> np.ndarray:
        """Values as integers 0 ... n, float64; the product with n is rounded to float32 first, as every engine does it."""
        return np.rint(np.float32(self.highest) * np.clip(x, 0, 1).astype(np.float32)).astype(np.float64)


def quantize(quantizer: Sign | Levels | None, x: np.ndarray) -> np.ndarray:
    """Values as a quantizer makes them, float64; as they are without one."""
    return x if quantizer is None else quantizer.integers(x) / quantizer.highest
