"""What a conversion changed, and why."""

from dataclasses import dataclass
from typing import NamedTuple

from tfq.terminal import table

NO_KERNEL = "has no kernel"


class Change(NamedTuple):
    """What became of one layer.

    Args:
        path: of the layer, as `outer/inner`.
        before: its class; "-" where it was not there.
        after: the class of the layer in its place; "-" where there is none.
        reason: why.
    """

    path: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What a conversion changed, what it left alone, and why: a row for each layer, in the order of computation."""

    rows: tuple[Change, ...]

    @property
    def quantized(self) -> tuple[Change, ...]:
        """The layers in whose place a quantized one stands."""
        return tuple(row for row in self.rows if "-" not in (row.before, row.after) and row.before != row.after)

    @property
    def added(self) -> tuple[Change, ...]:
        """The layers that were not there."""
        return tuple(row for row in self.rows if row.before == "-")

    @property
    def removed(self) -> tuple[Change, ...]:
        """The layers that are no longer there."""
        return tuple(row for row in self.rows if row.after == "-")

    @property
    def left(self) -> tuple[Change, ...]:
        """The layers that are as they were, those without a kernel among them."""
        return tuple(row for row in self.rows if row.before == row.after)

    def __str__(self):
        return self.table()

    def table(self) -> str:
        """The report as text: one row a layer; those without a kernel, and as they were, are counted below."""
        shown = [row for row in self.rows if row not in self.left or row.reason != NO_KERNEL]
        lines = table(("layer", "was", "is", "why"), shown, align="llll").splitlines()
        hidden = len(self.rows) - len(shown)
        return "\n".join([*lines, f"and {hidden} without a kernel, as they were"] if hidden else lines)
