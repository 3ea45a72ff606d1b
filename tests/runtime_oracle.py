"""What tests of engines need: random kernels, and `tfq.graph.reference` as the judge."""

from tfq.graph.kernels import pack
from tfq.graph.reference import run

__all__ = ["pack", "random_values", "run"]


def random_values(rng, shape, coding, bits=1):
    """Whole numbers that `pack` takes."""
    match coding:
        case "binary":
            return rng.choice([-1, 1], shape)
        case "ternary":
            return rng.choice([-1, 0, 1], shape)
        case "levels":
            return 2 * rng.integers(0, 2**bits, shape) - (2**bits - 1)
        case "integer":
            return rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape)
        case _:
            raise ValueError(f"no random values of {coding!r}")
