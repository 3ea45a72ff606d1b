"""How many bytes each operation of a `.tfq` file takes, against float32."""

import math

from tfq.runtime import file
from tfq.runtime import graph as g


def by_layer(path):
    """Table of the operations of a `.tfq` file that hold weights: kind, bits, bytes, bytes in float32; their totals last.

    Bytes of the graph itself and of the container are not among them.
    """
    rows = [_row(node) for node in file.read(path).nodes]
    rows = [row for row in rows if row[4]]
    taken, float32 = sum(row[3] for row in rows), sum(row[4] for row in rows)
    rows.append(("total", "", "", taken, float32))
    width = max(len(row[0]) for row in rows)
    lines = [f"{'':{width}}  {'kernel':8} {'bits':>5} {'bytes':>10} {'float32':>10} {'ratio':>7}"]
    lines += [
        f"{name:{width}}  {kind:8} {bits:>5} {own:>10,} {full:>10,} {full / own:>6.1f}x" for name, kind, bits, own, full in rows
    ]
    return "\n".join(lines)


def _row(node):
    kernel = getattr(node, "kernel", None)
    kind, bits, own, full = "", "", 0, 0
    if isinstance(kernel, g.PackedKernel):
        kind, bits = kernel.coding, str(kernel.bits)
        own, full = kernel.planes.nbytes + kernel.scale.nbytes, 4 * math.prod(kernel.shape)
    elif kernel is not None:
        kind, bits, own, full = "float", "32", kernel.values.nbytes, kernel.values.nbytes
    for name in ("bias", "scale", "shift"):
        values = getattr(node, name, None)
        size = 0 if values is None else values.nbytes
        own, full = own + size, full + size
    return node.name, kind, bits, own, full
