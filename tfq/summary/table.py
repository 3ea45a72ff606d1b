"""Totals of a model, and their table."""

from dataclasses import dataclass

from tfq.summary.cost import LayerCost
from tfq.terminal import table

_HEADER = ("layer", "type", "output", "in bits", "w bits", "params", "memory", "MACs")


@dataclass(frozen=True)
class Summary:
    """Totals of a model.

    `macs` maps (input bits, weight bits) to multiply-accumulates, `memory_bytes` a bit width to the bytes of the weights that
    have it; `other_ops` is everything that is no multiply-accumulate; `layers` holds a `LayerCost` for each call of a layer.
    """

    layers: tuple[LayerCost, ...]
    macs: dict[tuple[int, int], int]
    other_ops: int
    params: int
    trainable_params: int
    memory_bytes: dict[int, float]

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates at all bit widths."""
        return sum(self.macs.values())

    @property
    def total_bytes(self) -> float:
        """Bytes of all weights at their bit widths."""
        return sum(self.memory_bytes.values())

    @property
    def float32_bytes(self) -> int:
        """Bytes of all weights in float32."""
        return self.params * 4

    @property
    def ratio(self) -> float:
        """How many times smaller the weights are than in float32."""
        return self.float32_bytes / self.total_bytes if self.total_bytes else 1.0

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Names of the layers whose multiply-accumulates are not in the totals."""
        return tuple(cost.name for cost in self.layers if not cost.counted)

    def __str__(self):
        return self.table()

    def table(self) -> str:
        """The summary as text: one row a layer, then the totals."""
        header, *lines = table(_HEADER, map(_cells, self.layers), align="lll" + "r" * 5).splitlines()
        rule = "-" * len(header)
        return "\n".join([header, rule, *lines, rule, *self._totals()])

    def _totals(self):
        macs = "; ".join(f"{_millions(count)} of {a} x {w} bits" for (a, w), count in sorted(self.macs.items()))
        memory = "; ".join(f"{_kib(size)} of {bits} bits" for bits, size in sorted(self.memory_bytes.items()))
        without = ", without what is not counted" if self.uncounted else ""
        lines = [
            f"parameters     {self.params:,}, {self.trainable_params:,} of them trainable",
            f"MACs           {_millions(self.total_macs)}" + (f" (inputs x weights: {macs})" if macs else "") + without,
            f"other ops      {_millions(self.other_ops)}",
            f"weight memory  {_kib(self.total_bytes)}" + (f" ({memory})" if memory else ""),
            f"in float32     {_kib(self.float32_bytes)}, {self.ratio:.1f} times as much",
        ]
        return lines + ([f"not counted    {', '.join(self.uncounted)}"] if self.uncounted else [])


def _cells(cost):
    shape = "x".join(map(str, cost.output_shape))
    bits = (str(cost.input_bits), str(cost.weight_bits)) if cost.has_macs else ("-", "-")
    memory = _kib(sum(cost.weight_memory_bits.values()) / 8) if cost.params else "-"
    macs = _millions(cost.macs) if cost.has_macs else "-"
    return cost.name, cost.layer_type, shape, *bits, f"{cost.params:,}", memory, macs if cost.counted else "?"


def _millions(count):
    return f"{count / 1e6:.2f} M"


def _kib(size):
    return f"{size / 1024:.2f} KiB"
