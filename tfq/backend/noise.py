"""Random numbers that are a function of their key alone, on any backend."""

from collections.abc import Sequence

from tfq.backend.keras import Tensor, backend, keras_3, ops

__all__ = ["random_uniform"]


class _FixedKey(keras_3.random.SeedGenerator):
    """Hands a key that was drawn elsewhere to `keras.random`, which takes integers and seed generators only."""

    def __init__(self, key):
        self.key = key

    def next(self, ordered=True):
        return self.key


def random_uniform(shape: Sequence[int], key: Tensor, minval: float, maxval: float) -> Tensor:
    """Float32 noise that is a function of `key` (two integers) alone, so that a backward pass can make it.

    Args:
        shape: shape of the result.
        key: integer tensor of shape (2,).
        minval: lowest value, included.
        maxval: upper bound, excluded.
    """
    seed = _FixedKey(ops.cast(key, "uint32") if backend == "jax" else key)
    return keras_3.random.uniform(shape, minval, maxval, dtype="float32", seed=seed)
