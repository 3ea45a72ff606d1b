"""The table of a summary."""

from typing import TYPE_CHECKING

from tfq.terminal import table

if TYPE_CHECKING:
    from tfq.summary.totals import Summary


def text(summary: "Summary") -> str:
    """One row a layer, then the totals."""
    widths = list(summary.params_by_bits)
    weights = [f"{bits}-bit params" for bits in widths]
    columns = ("layer", "type", "output", "in bits", "w bits", *weights, "memory", "smaller", "MACs", "bit ops")
    rows = [_cells(cost, widths) for cost in summary.layers]
    header, *lines = table(columns, rows, align="lll" + "r" * (len(columns) - 3)).splitlines()
    rule = "-" * len(header)
    return "\n".join([header, rule, *lines, rule, *_totals(summary)])


def _cells(cost, widths):
    shape = "x".join("?" if size is None else str(size) for size in cost.output_shape)
    bits = [
        _distinct(product.input_bits for product in cost.products),
        _distinct(product.weight_bits for product in cost.products),
    ]
    memory = [_kib(sum(cost.weight_memory_bits.values()) / 8), f"{cost.compression:.1f}x"] if cost.params else ["-", "-"]
    counts = [_number(cost.macs), _number(cost.bit_ops)] if cost.has_macs else ["-", "-"]
    weights = [f"{cost.params_by_bits.get(width, 0):,}" for width in widths]
    return [cost.name, cost.layer_type, shape, *bits, *weights, *memory, *(counts if cost.counted else ["?", "?"])]


def _distinct(bits):
    """Those of several kernels, where they differ."""
    return "+".join(map(str, dict.fromkeys(bits))) or "-"


def _totals(summary):
    macs = "; ".join(f"{_number(count)} of {a} x {w} bits" for (a, w), count in summary.macs.items())
    memory = "; ".join(f"{_kib(size)} of {bits} bits" for bits, size in summary.memory_bytes.items())
    without = ", without what is not counted" if summary.uncounted else ""
    return [
        f"parameters     {summary.params:,}, {summary.trainable_params:,} of them trainable",
        f"MACs           {_number(summary.total_macs)}" + (f" (inputs x weights: {macs})" if macs else "") + without,
        f"bit ops        {_number(summary.bit_ops)} (MACs times the bits of inputs and weights)",
        f"other ops      {_number(summary.other_ops)}",
        f"weight memory  {_kib(summary.total_bytes)}" + (f" ({memory})" if memory else ""),
        f"in float32     {_kib(summary.float32_bytes)}, {summary.compression:.1f} times as much",
        *_left_out(summary),
    ]


def _left_out(summary):
    """The layers of one reason together."""
    named: dict[str, list[str]] = {}
    for cost in summary.layers:
        if not cost.counted:
            named.setdefault(cost.left_out, []).append(cost.name)
    return [f"not counted    {', '.join(names)}: {reason}" for reason, names in named.items()]


def _number(count):
    """Small ones whole, large ones in thousands, millions or billions."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= max(size, 1e4):
            return f"{count / size:.2f} {unit}"
    return f"{count:,}"


def _kib(size):
    return f"{size / 1024:.2f} KiB"
