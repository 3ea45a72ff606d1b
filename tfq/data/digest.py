"""A hash of images and labels, in memory or on disk."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

_CHUNK = 2**22  # bytes in memory at a time


def digest(*arrays: Any, look: Callable[[int, np.ndarray], None] | None = None) -> str:
    """A hash of types, shapes and bytes.

    Args:
        *arrays: of NumPy, or `StoredImages`, of which a few are read at a time.
        look: is shown what is read, with the number of its array.
    """
    found = hashlib.blake2b(digest_size=16)
    for number, array in enumerate(arrays):
        found.update(f"{array.dtype} {array.shape}".encode())
        count = max(1, _CHUNK * len(array) // max(1, array.nbytes))
        for first in range(0, len(array), count):
            part = np.ascontiguousarray(array[first : first + count])
            found.update(part.reshape(-1).view(np.uint8).data)
            if look is not None:
                look(number, part)
    return found.hexdigest()
