"""Where things are in the two arrays that the compiled steps work on."""

import numpy as np

# Positions are multiples of a cache line, so that no vector straddles two of them.
ALIGNMENT = 16


class Constants:
    """Collects the arrays of a network into one, of 32-bit elements."""

    def __init__(self):
        self._parts = []
        self._size = 0

    def add(self, values):
        """Append an array of int32, uint32 or float32; returns where it is."""
        values = np.ascontiguousarray(values).reshape(-1).view(np.int32)
        values = np.pad(values, (0, -values.size % ALIGNMENT))
        self._parts.append(values)
        self._size += values.size
        return self._size - values.size

    def array(self):
        """All of them, int32, aligned."""
        result = aligned(self._size + ALIGNMENT)
        result[: self._size] = np.concatenate([*self._parts, np.zeros(0, np.int32)])
        return result


class Memory:
    """Places buffers that live for a range of steps; those that never live at once may share a place."""

    def __init__(self):
        self._buffers = {}

    def use(self, name, size, step):
        """`name`, of `size` elements, is written or read by `step`."""
        first, last, known = self._buffers.get(name, (step, step, size))
        self._buffers[name] = (min(first, step), max(last, step), max(size, known))

    def place(self):
        """Positions by name, and the size of it all."""
        placed, total = {}, 0
        # The largest first: the small ones fill what is left between them.
        for name, (first, last, size) in sorted(self._buffers.items(), key=lambda item: -item[1][2]):
            # The last vector may reach 15 elements past the end.
            size += ALIGNMENT - 1
            size += -size % ALIGNMENT
            taken = sorted(
                (at, at + length)
                for at, length, other_first, other_last in placed.values()
                if first <= other_last and other_first <= last
            )
            at = 0
            for begin, end in taken:
                if begin - at >= size:
                    break
                at = max(at, end)
            placed[name] = (at, size, first, last)
            total = max(total, at + size)
        return {name: at for name, (at, *_) in placed.items()}, total


def aligned(size):
    """int32 zeros that begin at a cache line."""
    whole = np.zeros(size + ALIGNMENT, np.int32)
    return whole[(-whole.ctypes.data // 4) % ALIGNMENT :][:size]
