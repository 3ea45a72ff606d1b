"""Which operations are computed together with a convolution or product, or with an activation."""

from tfq.graph import nodes as g
from tfq.runtime.plan.paths import is_product, on_bits, reads_packed, scales_inputs
from tfq.runtime.plan.plan import Fused, Plan
from tfq.runtime.plan.windows import fill, margin


class _Consumers:
    """Which operations take a tensor."""

    def __init__(self, nodes):
        self._by_name = {}
        for node in nodes:
            for name in node.inputs:
                self._by_name.setdefault(name, []).append(node)
        self._output = nodes[-1].name

    def all(self, name):
        return [] if name == self._output else self._by_name.get(name, [])

    def only(self, name):
        found = self.all(name)
        return found[0] if len(found) == 1 else None


def fuse(plan: Plan) -> None:
    """Fill in `fused`, `inside` and `activated`."""
    consumers = _Consumers(plan.nodes)
    by_name = {node.name: node for node in plan.nodes}
    position = {g.INPUT: -1}
    for index, node in enumerate(plan.nodes):
        if node.name in plan.inside:
            continue
        position[node.name] = index
        before = by_name.get(node.inputs[0])
        if isinstance(node, g.ReLU | g.HardTanh) and isinstance(before, g.ScaleShift) and consumers.only(before.name):
            plan.activated[node.name] = before
        if not is_product(node):
            continue
        fused = _threshold(plan, consumers, node) or _epilogue(plan, consumers, node, position, index)
        plan.fused[node.name] = fused
        position[fused.result] = index


def limits(node: g.ReLU | g.HardTanh) -> tuple[float, float]:
    """The interval that a `ReLU` or `HardTanh` clamps to."""
    if isinstance(node, g.HardTanh):
        return -1.0, 1.0
    return 0.0, float("inf") if node.max_value is None else node.max_value


def _threshold(plan, consumers, node):
    """The operations between a convolution of integers and the signs of others, if nobody else takes its result."""
    if not reads_packed(node) or scales_inputs(node):
        return None
    chain, name = [], node.name
    while True:
        takers = consumers.all(name)
        if takers and all(_takes_sign(taker) for taker in takers):
            fills = {fill(taker) for taker in takers if any(margin(taker, plan.shapes[name]))}
            if len(fills) > 1:
                return None
            plan.inside.update(link.name for link in chain)
            return Fused(node, name, chain=tuple(chain))
        link = consumers.only(name)
        if not isinstance(link, g.ScaleShift | g.ReLU | g.HardTanh):
            return None
        chain.append(link)
        name = link.name


def _takes_sign(node):
    return is_product(node) and on_bits(node) and isinstance(node.quantizer, g.Sign) and not scales_inputs(node)


def _epilogue(plan, consumers, node, position, index):
    """What follows and is computed in float32: a batch normalization, an activation, a sum with a tensor that is there."""
    fused = Fused(node, node.name)
    while (link := consumers.only(fused.result)) is not None:
        match link:
            case g.ScaleShift() if not (fused.affine or fused.clamp or fused.residual):
                fused.affine = link
            case g.ReLU() | g.HardTanh() if not (fused.clamp or fused.residual):
                fused.clamp = limits(link)
            case g.Add(inputs=(a, b)) if not fused.residual and a != b:
                other = b if a == fused.result else a
                if position.get(other, index) >= index:
                    break
                fused.residual = other
            case _:
                break
        plan.inside.add(link.name)
        fused.result = link.name
    return fused
