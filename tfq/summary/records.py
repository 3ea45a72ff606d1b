"""A summary as JSON values and as comma-separated values."""

import csv
import io
from typing import TYPE_CHECKING, Any

from tfq import files
from tfq.files import PathLike
from tfq.summary.cost import LayerCost

if TYPE_CHECKING:
    from tfq.summary.totals import Summary


def as_dict(summary: "Summary") -> dict[str, Any]:
    """The totals, and those of each layer under `layers`."""
    return {
        "name": summary.name,
        "params": summary.params,
        "trainable_params": summary.trainable_params,
        "params_by_bits": _by_width(summary.params_by_bits),
        "memory_bytes_by_bits": _by_width(summary.memory_bytes),
        "memory_bytes": summary.total_bytes,
        "float32_bytes": summary.float32_bytes,
        "compression": summary.compression,
        "macs": summary.total_macs,
        "macs_by_bits": _by_pair(summary.macs),
        "bit_ops": summary.bit_ops,
        "other_ops": summary.other_ops,
        "layers": [_of_layer(cost) for cost in summary.layers],
    }


def _of_layer(cost: LayerCost) -> dict[str, Any]:
    return {
        "name": cost.name,
        "type": cost.layer_type,
        "kind": cost.kind,
        "input_shape": list(cost.input_shape),
        "output_shape": list(cost.output_shape),
        "input_bits": cost.input_bits if cost.has_macs else None,
        "kernel_bits": {product.kernel: product.weight_bits for product in cost.products},
        "params": cost.params,
        "trainable_params": cost.trainable_params,
        "params_by_bits": _by_width(cost.params_by_bits),
        "memory_bytes": sum(cost.weight_memory_bits.values()) / 8,
        "compression": cost.compression,
        "macs": cost.macs,
        "macs_by_bits": _by_pair(cost.macs_by_bits),
        "bit_ops": cost.bit_ops,
        "other_ops": cost.bias_ops + cost.activation_ops + cost.other_ops,
        "left_out": cost.left_out,
    }


def as_csv(summary: "Summary", path: PathLike | None) -> str:
    """A row a layer and one of totals, also written to `path` if there is one."""
    everything = as_dict(summary)
    widths, pairs = everything["params_by_bits"], everything["macs_by_bits"]
    output = io.StringIO()
    rows = [_flat(row, widths, pairs) for row in everything["layers"]]
    total = {"name": "total", "type": "", "output_shape": [], "input_bits": None, "kernel_bits": {}, "left_out": None}
    rows.append(_flat({**everything, **total}, widths, pairs))
    writer = csv.DictWriter(output, rows[-1], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if path is not None:
        files.write_text(path, output.getvalue())
    return output.getvalue()


def _flat(row, widths, pairs):
    return {
        "name": row["name"],
        "type": row["type"],
        "output_shape": "x".join("?" if size is None else str(size) for size in row["output_shape"]),
        "input_bits": row["input_bits"],
        "kernel_bits": "+".join(map(str, row["kernel_bits"].values())),
        "params": row["params"],
        **{f"params_{bits}_bit": row["params_by_bits"].get(bits, 0) for bits in widths},
        "memory_bytes": row["memory_bytes"],
        "compression": row["compression"],
        "macs": row["macs"],
        **{f"macs_{pair}": row["macs_by_bits"].get(pair, 0) for pair in pairs},
        "bit_ops": row["bit_ops"],
        "other_ops": row["other_ops"],
        "left_out": row["left_out"],
    }


def _by_width(counts):
    return {str(bits): count for bits, count in counts.items()}


def _by_pair(counts):
    return {f"{a}x{w}": count for (a, w), count in counts.items()}
