"""How many bytes each layer of an exported file takes, against float32."""


def by_layer(rows):
    """Table of (name, kind, bytes, bytes in float32) of whatever holds weights; their totals last.

    Bytes of the graph itself and of the container are not among them.
    """
    rows = [*rows, ("total", "", sum(row[2] for row in rows), sum(row[3] for row in rows))]
    width, kinds = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"{'':{width}}  {'':{kinds}} {'bytes':>10} {'float32':>10} {'ratio':>7}"]
    lines += [f"{name:{width}}  {kind:{kinds}} {own:>10,} {full:>10,} {_ratio(own, full):>7}" for name, kind, own, full in rows]
    return "\n".join(lines)


def _ratio(own, full):
    """None of what holds no weights."""
    return f"{full / own:.1f}x" if own else "-"
