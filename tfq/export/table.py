"""How many bytes each layer of an exported file takes, against float32."""

from collections.abc import Sequence

from tfq.terminal import table


def by_layer(rows: Sequence[tuple[str, str, int, int]]) -> str:
    """Table of (name, kind, bytes, bytes in float32) of whatever holds weights; their totals last.

    Bytes of the graph itself and of the container are not among them.
    """
    rows = [*rows, ("total", "", sum(row[2] for row in rows), sum(row[3] for row in rows))]
    cells = [(name, kind, f"{own:,}", f"{full:,}", _ratio(own, full)) for name, kind, own, full in rows]
    return table(("", "", "bytes", "float32", "ratio"), cells, align="llrrr")


def _ratio(own, full):
    """None of what holds no weights."""
    return f"{full / own:.1f}x" if own else "-"
