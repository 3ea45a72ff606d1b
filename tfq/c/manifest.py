"""What a network takes, as numbers for programs: NAME.json."""

import hashlib
import json
import math
from importlib.resources import files

from tfq import __version__
from tfq.c.source import Source
from tfq.graph import codec
from tfq.graph import nodes as g

# Bytes of code of each kernel file, by gcc 12 -Os -mthumb -mcpu=cortex-m4: an estimate for others.
CODE_BYTES = json.loads((files("tfq.c") / "kernels" / "sizes.json").read_text(encoding="utf-8"))


def manifest(graph: g.Graph, source: Source, name: str, arena: int) -> dict:
    """The manifest of a network."""
    code = sum(CODE_BYTES[kernel] for kernel in source.kernels) + CODE_BYTES["call"] * len(source.calls)
    values = {"input": _product(graph.input_shape), "output": _product(graph.output_shape)}
    outside = {key: 4 * count for key, count in values.items()}
    return {
        "name": name,
        "tfq": __version__,
        "network_sha256": _hash(graph),
        "input_shape": list(graph.input_shape),
        "output_shape": list(graph.output_shape),
        "takes_uint8": graph.pixel_mean is not None,
        "flash": {"constants": source.constants.bytes, "code_estimate": code, "total": source.constants.bytes + code},
        "ram": {"arena": arena, **outside, "total": arena + sum(outside.values())},
        "edges": source.edges.name,
        "float_products": source.products_of_floats["float"],
        "int8_products": source.products_of_floats["int8"],
        "residual": {
            "type": source.residual.name,
            "fraction_bits": {tensor: -int(math.log2(step)) for tensor, step in source.steps.items()},
        },
        "macs": dict(sorted(source.macs.items())),
        "kernels": sorted(source.kernels),
    }


def _product(shape):
    count = 1
    for size in shape:
        count *= size
    return count


def _hash(graph):
    content, arrays = codec.encode(graph)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for part in (*arrays.planes, *arrays.floats):
        digest.update(part.tobytes())
    return digest.hexdigest()
