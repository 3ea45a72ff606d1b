"""Where things are in the two arrays that the steps of a program work on."""

import numpy as np

from tfq.graph.check import GraphError
from tfq.runtime.program.steps import At, Buffer, Step

# Positions are multiples of a cache line, so that no vector straddles two of them.
ALIGNMENT = 16
_MOST = 2**30  # elements of 4 bytes for one image: tensors of the largest size, a few at a time


class Constants:
    """Collects the arrays of a network into one, of 32-bit elements."""

    def __init__(self):
        self._parts = []
        self._size = 0

    def add(self, values: np.ndarray) -> int:
        """Append an array of int32, uint32 or float32; returns where it is."""
        values = np.ascontiguousarray(values).reshape(-1).view(np.int32)
        values = np.pad(values, (0, -values.size % ALIGNMENT))
        self._parts.append(values)
        self._size += values.size
        return self._size - values.size

    def array(self) -> np.ndarray:
        """All of them, int32, aligned."""
        result = aligned(self._size + ALIGNMENT)
        result[: self._size] = np.concatenate([*self._parts, np.zeros(0, np.int32)])
        return result


class _Life:
    """From which step to which a buffer is used, and the most elements that one of them needs."""

    def __init__(self):
        self.first, self.last, self.size = None, None, 0

    def use(self, step, size):
        self.first = step if self.first is None else min(self.first, step)
        self.last = step if self.last is None else max(self.last, step)
        self.size = max(self.size, size)

    def meets(self, other):
        return self.first <= other.last and other.first <= self.last


def place(steps: list[Step], source: Buffer | None, target: Buffer | None) -> tuple[dict[object, int], int]:
    """Give each buffer a place; those that never live at once may share one.

    Args:
        steps: in their order.
        source: it is there before the first step, if it has a place at all.
        target: it is read after the last one, if it has a place.

    Returns:
        The position of each buffer by its name, and the size of it all.

    Raises:
        GraphError: the size is more than an image may need.
    """
    lives = _lives(steps, source, target)
    same = _in_place(steps, lives)
    places, size = _place(lives)
    for written, read in same:
        places[written] = places[read]
    if size > _MOST:
        raise GraphError(f"an image needs {size * 4 / 2**30:,.0f} GiB of memory; allowed are {_MOST * 4 // 2**30}")
    return places, size


def _lives(steps, source, target):
    lives = {}

    def use(buffer, step, size):
        lives.setdefault(buffer.name, _Life()).use(step, size)

    for index, step in enumerate(steps):
        for buffer, size in step.uses():
            use(buffer, index, size)
    if source is not None:
        use(source, -1, source.size)
    if target is not None:
        use(target, len(steps), target.size)
    return lives


def _in_place(steps, lives):
    """(written, read) names of buffers that share a place: one dies where the other is born. Their lives become one."""
    same, renamed = [], {}
    for index, step in enumerate(steps):
        if not step.in_place():
            continue
        read, written = (getattr(step, name) for name in step.in_place())
        if not (isinstance(read, At) and isinstance(written, At)) or read.offset != written.offset:
            continue
        first = renamed.get(read.buffer.name, read.buffer.name)
        before, after = lives[first], lives.get(written.buffer.name)
        if after is None or before is after or (before.last, after.first) != (index, index):
            continue
        before.last, before.size = after.last, max(before.size, after.size)
        del lives[written.buffer.name]
        renamed[written.buffer.name] = first
        same.append((written.buffer.name, first))
    return same


def _place(lives):
    placed, total = {}, 0
    # The largest first: the small ones fill what is left between them.
    for name, life in sorted(lives.items(), key=lambda item: -item[1].size):
        # The last vector may reach 15 elements past the end.
        size = life.size + ALIGNMENT - 1
        size += -size % ALIGNMENT
        taken = sorted((at, end) for at, end, other in placed.values() if life.meets(other))
        at = 0
        for begin, end in taken:
            if begin - at >= size:
                break
            at = max(at, end)
        placed[name] = (at, at + size, life)
        total = max(total, at + size)
    return {name: at for name, (at, *_) in placed.items()}, total


def aligned(size: int) -> np.ndarray:
    """int32 zeros that begin at a cache line."""
    whole = np.zeros(size + ALIGNMENT, np.int32)
    return whole[(-whole.ctypes.data // 4) % ALIGNMENT :][:size]
