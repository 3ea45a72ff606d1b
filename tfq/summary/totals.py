"""Totals of a model, as a table, a dictionary and a text of comma-separated values."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tfq.files import PathLike
from tfq.summary import records, table
from tfq.summary.cost import LayerCost, compression


@dataclass(frozen=True, repr=False)
class Summary:
    """What a model costs for one sample, at inference.

    Attributes:
        name: of the model.
        layers: a `LayerCost` for each call of a layer.
    """

    name: str
    layers: tuple[LayerCost, ...]

    @property
    def macs(self) -> dict[tuple[int, int], int]:
        """Multiply-accumulates of each pair (input bits, weight bits)."""
        return _sum(cost.macs_by_bits for cost in self.layers)

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates at all bit widths."""
        return sum(cost.macs for cost in self.layers)

    @property
    def bit_ops(self) -> int:
        """Multiply-accumulates, each times the bits of both of its factors."""
        return sum(cost.bit_ops for cost in self.layers)

    @property
    def other_ops(self) -> int:
        """Everything that is no multiply-accumulate."""
        return sum(cost.bias_ops + cost.activation_ops + cost.other_ops for cost in self.layers)

    @property
    def params_by_bits(self) -> dict[int, int]:
        """Number of weights of each bit width."""
        return _sum(cost.params_by_bits for cost in self.layers)

    @property
    def params(self) -> int:
        """Number of weights."""
        return sum(cost.params for cost in self.layers)

    @property
    def trainable_params(self) -> int:
        """Number of weights that are trained."""
        return sum(cost.trainable_params for cost in self.layers)

    @property
    def memory_bytes(self) -> dict[int, int]:
        """Bytes of the weights of each bit width."""
        return {bits: -(-bits * count // 8) for bits, count in self.params_by_bits.items()}

    @property
    def total_bytes(self) -> int:
        """Bytes of all weights at their bit widths."""
        return sum(self.memory_bytes.values())

    @property
    def float32_bytes(self) -> int:
        """Bytes of all weights in float32."""
        return self.params * 4

    @property
    def compression(self) -> float:
        """How many times smaller the weights are than in float32."""
        return compression(self.params_by_bits)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Names of the layers of which something is not in the totals; `left_out` of each says what."""
        return tuple(cost.name for cost in self.layers if not cost.counted)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Summary of {self.name!r}: {self.params:,} parameters, {self.total_macs:,} MACs>"

    def table(self) -> str:
        """As text: one row a layer, then the totals."""
        return table.text(self)

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON has: the totals, and those of each layer under `layers`; a pair of bits is a key such as `"1x32"`."""
        return records.as_dict(self)

    def to_csv(self, path: PathLike | None = None) -> str:
        """As comma-separated values, a row a layer and one of totals.

        Args:
            path: file to write; none by default.

        Returns:
            The text.
        """
        return records.as_csv(self, path)


def _sum(counts: Iterable[dict]) -> dict:
    total: Counter = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))
