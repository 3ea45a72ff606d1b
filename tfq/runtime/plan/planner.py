"""Which operations of a graph are computed, and which of their tensors are kept."""

from dataclasses import replace

from tfq.graph import nodes as g
from tfq.runtime.plan.fuse import fuse
from tfq.runtime.plan.images import on_images
from tfq.runtime.plan.packed import choose_packed
from tfq.runtime.plan.paths import is_one_step, is_product, scales_inputs
from tfq.runtime.plan.plan import Plan


def plan(graph: g.Graph) -> Plan:
    """The `Plan` of a graph.

    Raises:
        GraphError: the margins that several convolutions pad make a tensor that is too large, or strides of a transposed one are.
    """
    nodes, tensors, origins = on_images(graph)
    result = Plan(_live(_adopt_quantizers(nodes)), tensors, origins)
    fuse(result)
    choose_packed(result)
    _find_needed(result)
    return result


def _adopt_quantizers(nodes):
    """A convolution without a quantizer behind a `Quantize` of its own takes that quantizer over."""
    by_name = {node.name: node for node in nodes}
    result = []
    for node in nodes:
        before = by_name.get(node.inputs[0])
        if is_product(node) and node.quantizer is None and isinstance(before, g.Quantize):
            node = replace(node, quantizer=before.quantizer, inputs=before.inputs)
        result.append(node)
    return result


def _live(nodes):
    """Those whose results matter."""
    wanted, result = {nodes[-1].name}, []
    for node in reversed(nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
            result.append(node)
    return tuple(reversed(result))


def _find_needed(plan):
    """Pack what can be packed in passing; whatever else reads a tensor needs it in float32."""
    by_result = {fused.result: fused for fused in plan.fused.values()}
    for packed in plan.margins:
        fused = by_result.get(packed.source)
        if fused is not None and fused.packed is None and is_one_step(fused.node):
            fused.packed = packed
        else:
            plan.needed.add(packed.source)
    plan.needed.add(plan.nodes[-1].name)
    for node in reversed(plan.nodes):
        if node.name in plan.inside:
            continue
        if not is_product(node):
            if node.name in plan.needed:
                plan.needed.update(plan.activated.get(node.name, node).inputs)
            continue
        if node.name not in plan.packed or scales_inputs(node):
            plan.needed.add(node.inputs[0])
        if plan.fused[node.name].residual:
            plan.needed.add(plan.fused[node.name].residual)
