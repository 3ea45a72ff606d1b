"""Where the tensors of a network lie in the one piece of memory that it works in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from tfq.c.source import Call

# Of each buffer, in bytes.
ALIGNMENT = 16


@dataclass(frozen=True)
class Buffer:
    """A part of the arena.

    Attributes:
        name: what it holds.
        ctype: C type of its elements.
        bytes: its size.
    """

    name: Hashable
    ctype: str
    bytes: int


@dataclass
class _Life:
    first: int
    last: int
    bytes: int

    def meets(self, other: _Life) -> bool:
        return self.first <= other.last and other.first <= self.last


def place(calls: Sequence[Call], first: Buffer | None, outside: Sequence[Hashable]) -> tuple[dict[Hashable, int], int]:
    """Give each buffer a place; those that never live at once may share one.

    A call that may write its result over one of its inputs does so, if nobody reads that input later.

    Args:
        calls: in their order.
        first: a buffer that is filled before the first call.
        outside: names of buffers that are the caller's and need no place.

    Returns:
        The offset of each buffer by its name, and the size of it all in bytes.
    """
    lives = _lives(calls, first)
    same = _joined(calls, lives, outside)
    joined: dict[Hashable, _Life] = {}
    for name, life in lives.items():
        if name in outside:
            continue
        whole = joined.setdefault(same.get(name, name), _Life(life.first, life.last, life.bytes))
        whole.first, whole.last = min(whole.first, life.first), max(whole.last, life.last)
        whole.bytes = max(whole.bytes, life.bytes)
    places, size = _packed(joined)
    return {name: places[same.get(name, name)] for name in lives if name not in outside}, size


def _lives(calls, first):
    lives: dict[Hashable, _Life] = {}
    if first is not None:
        lives[first.name] = _Life(-1, -1, first.bytes)
    for index, call in enumerate(calls):
        for buffer in call.buffers():
            life = lives.setdefault(buffer.name, _Life(index, index, buffer.bytes))
            life.last, life.bytes = index, max(life.bytes, buffer.bytes)
    return lives


def _joined(calls, lives: Mapping[Hashable, _Life], outside) -> dict[Hashable, Hashable]:
    """By the name of each buffer that lies where an earlier one lies, the name of the first of these."""
    same: dict[Hashable, Hashable] = {}
    for index, call in enumerate(calls):
        if call.over is None:
            continue
        target, source = call.over
        is_free = target.name not in outside and source.name not in outside
        # What a call reads elsewhere too, as the windows of a convolution, must stay until its end.
        is_free = is_free and sum(buffer.name == source.name for buffer in call.buffers()) == 1
        if is_free and target.bytes == source.bytes and lives[source.name].last == index == lives[target.name].first:
            same[target.name] = same.get(source.name, source.name)
    return same


def _packed(lives):
    placed: dict[Hashable, tuple[int, int, _Life]] = {}
    # The largest first: the small ones fill what is left between them.
    for name, life in sorted(lives.items(), key=lambda item: -item[1].bytes):
        size = life.bytes + -life.bytes % ALIGNMENT
        at = 0
        for begin, end in sorted((begin, end) for begin, end, other in placed.values() if life.meets(other)):
            if begin - at >= size:
                break
            at = max(at, end)
        placed[name] = (at, at + size, life)
    return {name: at for name, (at, *_) in placed.items()}, max((end for _, end, _ in placed.values()), default=0)
