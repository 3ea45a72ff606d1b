"""Which operations of a graph are computed together, and what is never computed at all."""

import math
from dataclasses import dataclass, field, replace

from tfq.graph import check
from tfq.graph import nodes as g
from tfq.graph import shapes as s
from tfq.graph.kernels import coding_of

# Bit planes of inputs times those of weights up to which popcounts are faster than products of bytes (binary: 1 x 1), and
# than float32 where the inputs are signs, which bytes do not hold.
MOST_PLANES = 4
MOST_PLANES_OF_SIGNS = 8
_BYTE = 8


def on_bits(node):
    """Whether a convolution or product is computed by popcounts of packed words."""
    most = MOST_PLANES_OF_SIGNS if isinstance(node.quantizer, g.Sign) else MOST_PLANES
    return _on_integers(node) and input_bits(node.quantizer) * kernel_planes(node.kernel) <= most


def on_bytes(node):
    """Whether a convolution or product is computed on levels of 8 bits or fewer, a byte each."""
    return (
        _on_integers(node)
        and not on_bits(node)
        and isinstance(node.quantizer, g.Levels)
        and max(node.quantizer.bits, kernel_planes(node.kernel)) <= _BYTE
    )


def packed(node):
    """Whether a convolution or product reads an `Image`."""
    return on_bits(node) or on_bytes(node)


def _on_integers(node):
    """Whether both factors are whole numbers whose sums fit 32 bits, twice as large in passing."""
    if not isinstance(node.kernel, g.PackedKernel) or node.quantizer is None or getattr(node, "groups", 1) != 1:
        return False
    weights = math.prod(node.kernel.shape[:-1])
    return weights * (2 ** input_bits(node.quantizer) - 1) * (2 ** kernel_planes(node.kernel) - 1) < 2**30


def input_bits(quantizer):
    """Bit planes of the inputs."""
    return 1 if isinstance(quantizer, g.Sign) else quantizer.bits


def kernel_planes(kernel):
    """Bit planes of a `PackedKernel` that are each multiplied with the inputs."""
    return coding_of(kernel).multiplied(kernel.bits)


@dataclass(frozen=True)
class Image:
    """A tensor, quantized and packed: that of sign or levels of `source`, or of scale * source + shift."""

    source: str
    affine: str | None
    quantizer: object
    bytes: bool  # a level is a byte, and not a bit in each of some planes
    fill: int  # the bits of its margin; 1 is the highest level


@dataclass
class Fused:
    """A convolution or product, what follows it in the same step, and the name of the tensor that comes out."""

    node: object
    result: str
    affine: object = None
    clamp: tuple | None = None
    residual: str | None = None
    chain: tuple | None = None  # with it, bits come out: the sign of chain(result)
    image: Image | None = None  # packed from the result in passing


@dataclass
class Plan:
    """A graph, taken apart.

    Attributes:
        nodes: those whose results matter.
        shapes: of all tensors.
        fused: `Fused` by the name of the convolution or product.
        inside: names of the operations that are part of a `Fused`.
        images: the `Image` that a convolution of integers reads, by its name.
        margins: (top, left, bottom, right) of each `Image`.
        needed: names of the tensors that are wanted in float32.
        activated: the `ScaleShift` that is computed together with an activation, by the name of that.
    """

    nodes: tuple
    shapes: dict
    fused: dict = field(default_factory=dict)
    inside: set = field(default_factory=set)
    images: dict = field(default_factory=dict)
    margins: dict = field(default_factory=dict)
    needed: set = field(default_factory=set)
    activated: dict = field(default_factory=dict)


def plan(graph):
    """The `Plan` of a graph."""
    result = Plan(_live(_adopt_quantizers(graph.nodes)), graph.shapes)
    _fuse(result)
    _choose_images(result)
    _find_needed(result)
    return result


def is_product(node):
    """Whether a node is a convolution or a product of matrices."""
    return isinstance(node, g.Conv2D | g.Dense)


def windows(node, shape):
    """The `Window` of height and of width of a convolution, and its kernel, strides and dilations; those of a product are 1."""
    if isinstance(node, g.Dense):
        height, width, _ = s.as_image(shape)
        return (s.Window(height, 0, 0), s.Window(width, 0, 0)), (1, 1), (1, 1), (1, 1)
    axes = zip(shape[:2], node.kernel.shape[:2], node.strides, node.dilations, strict=True)
    found = tuple(s.window(*axis, node.padding) for axis in axes)
    return found, tuple(node.kernel.shape[:2]), node.strides, node.dilations


def margin(node, shape):
    """(top, left, bottom, right) that a convolution pads."""
    (vertical, horizontal), *_ = windows(node, shape)
    return vertical.before, horizontal.before, vertical.after, horizontal.after


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
    wanted, result = {nodes[-1].name}, []
    for node in reversed(nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
            result.append(node)
    return tuple(reversed(result))


class _Consumers:
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


def _fuse(plan):
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


def _threshold(plan, consumers, node):
    """The operations between a convolution of integers and the signs of others, if nobody else takes its result."""
    if not packed(node) or getattr(node, "kmap", False):
        return None
    chain, name = [], node.name
    while True:
        takers = consumers.all(name)
        if takers and all(_takes_sign(taker) for taker in takers):
            fills = {_fill(taker) for taker in takers if any(margin(taker, plan.shapes[name]))}
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
    return is_product(node) and on_bits(node) and isinstance(node.quantizer, g.Sign) and not getattr(node, "kmap", False)


def _epilogue(plan, consumers, node, position, index):
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


def limits(node):
    """The interval that a `ReLU` or `HardTanh` clamps to."""
    if isinstance(node, g.HardTanh):
        return -1.0, 1.0
    return 0.0, float("inf") if node.max_value is None else node.max_value


def _fill(node):
    return 1 if getattr(node, "pad_value", 0) == 1 else 0


def _choose_images(plan):
    by_name = {node.name: node for node in plan.nodes}
    requests = {}
    for node in plan.nodes:
        if is_product(node) and packed(node):
            name = node.inputs[0]
            affine = by_name.get(name)
            if not isinstance(affine, g.ScaleShift) or name in plan.inside:
                key = (name, None, node.quantizer, on_bytes(node))
            else:
                key = (affine.inputs[0], name, node.quantizer, on_bytes(node))
            requests.setdefault(key, []).append(node)
    for key, nodes in requests.items():
        margins = {node.name: margin(node, plan.shapes[node.inputs[0]]) for node in nodes}
        fills = [_fill(node) for node in nodes if any(margins[node.name])] or [0]
        for node in nodes:
            # What needs no margin shares with whatever needs one.
            image = Image(*key, _fill(node) if any(margins[node.name]) else fills[0])
            plan.images[node.name] = image
            widest = plan.margins.get(image, (0, 0, 0, 0))
            plan.margins[image] = tuple(max(pair) for pair in zip(widest, margins[node.name], strict=True))
            _check_margin(node, plan.shapes[image.source], plan.margins[image])


def _check_margin(node, shape, margin):
    """Raise where the widest margins of several convolutions, each of a size that is allowed, make one that is not."""
    height, width, channels = s.as_image(shape)
    top, left, bottom, right = margin
    padded = (top + height + bottom, left + width + right)
    if math.prod(padded) * channels > check.MAX_VALUES:
        raise check.GraphError(
            f"{node.name!r} and others pad {shape} to {padded}: more than {check.MAX_VALUES:,} values an image"
        )


def _find_needed(plan):
    by_result = {fused.result: fused for fused in plan.fused.values()}
    for image in plan.margins:
        fused = by_result.get(image.source)
        if fused is not None and fused.image is None and getattr(fused.node, "groups", 1) == 1:
            fused.image = image
        else:
            plan.needed.add(image.source)
    plan.needed.add(plan.nodes[-1].name)
    for node in reversed(plan.nodes):
        if node.name in plan.inside:
            continue
        if not is_product(node):
            if node.name in plan.needed:
                plan.needed.update(plan.activated.get(node.name, node).inputs)
            continue
        if node.name not in plan.images or getattr(node, "kmap", False):
            plan.needed.add(node.inputs[0])
        if plan.fused[node.name].residual:
            plan.needed.add(plan.fused[node.name].residual)
