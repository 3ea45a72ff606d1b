"""Which packed tensors there are, and how wide their margins."""

import math

from tfq.graph import check, shapes
from tfq.graph import nodes as g
from tfq.runtime.plan.paths import is_product, on_bytes, reads_packed
from tfq.runtime.plan.plan import PackedTensor, Plan
from tfq.runtime.plan.windows import fill, margin


def choose_packed(plan: Plan) -> None:
    """Give each convolution of integers the `PackedTensor` that it reads; those that read alike share one."""
    by_name = {node.name: node for node in plan.nodes}
    requests = {}
    for node in plan.nodes:
        if is_product(node) and reads_packed(node):
            name = node.inputs[0]
            affine = by_name.get(name)
            if not isinstance(affine, g.ScaleShift) or name in plan.inside:
                key = (name, None, node.quantizer, on_bytes(node))
            else:
                key = (affine.inputs[0], name, node.quantizer, on_bytes(node))
            requests.setdefault(key, []).append(node)
    for key, nodes in requests.items():
        _share(plan, key, nodes)


def _share(plan, key, nodes):
    margins = {node.name: margin(node, plan.shapes[node.inputs[0]]) for node in nodes}
    fills = [fill(node) for node in nodes if any(margins[node.name])] or [0]
    for node in nodes:
        # What needs no margin shares with whatever needs one.
        packed = PackedTensor(*key, fill(node) if any(margins[node.name]) else fills[0])  # type: ignore[call-arg]
        plan.packed[node.name] = packed
        widest = plan.margins.get(packed, (0, 0, 0, 0))
        plan.margins[packed] = tuple(max(pair) for pair in zip(widest, margins[node.name], strict=True))
        _check_margin(node, plan.shapes[packed.source], plan.margins[packed])


def _check_margin(node, shape, margin):
    """Raise where the widest margins of several convolutions, each of a size that is allowed, make one that is not."""
    height, width, channels = shapes.as_image(shape)
    top, left, bottom, right = margin
    padded = (top + height + bottom, left + width + right)
    if math.prod(padded) * channels > check.MAX_VALUES:
        raise check.GraphError(
            f"{node.name!r} and others pad {shape} to {padded}: more than {check.MAX_VALUES:,} values an image"
        )
