"""What a conversion changed, and why."""

from dataclasses import dataclass
from typing import NamedTuple

from tfq.terminal import table

NO_KERNEL = "has no kernel"
# Chains of convolutions of signs learned with 16 in a row, and not with 32; with every second one depthwise, with 8 and not 16.
MANY_IN_A_ROW = 16


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
    """What a conversion changed, what it left alone, and why.

    Args:
        rows: one for each layer, in the order of computation.
        in_a_row: paths of the layers with quantized inputs that no float path leads around: those on the way from an input to an
            output that meets the fewest. `skip=report.in_a_row` leaves a float path from end to end.
    """

    rows: tuple[Change, ...]
    in_a_row: tuple[str, ...] = ()

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
        """The report as text: one row a layer; those without a kernel, and as they were, are counted below.

        A line says where so many quantizers of inputs stand in a row that the model will hardly train.
        """
        shown = [row for row in self.rows if row not in self.left or row.reason != NO_KERNEL]
        lines = table(("layer", "was", "is", "why"), shown, align="llll").splitlines()
        hidden = len(self.rows) - len(shown)
        lines += [f"and {hidden} without a kernel, as they were"] if hidden else []
        if len(self.in_a_row) >= MANY_IN_A_ROW:
            lines.append(
                f"{len(self.in_a_row)} layers with quantized inputs in a row, and no float path around them: such networks "
                f"hardly train. skip=report.in_a_row keeps them in float: {', '.join(self.in_a_row)}"
            )
        return "\n".join(lines)
