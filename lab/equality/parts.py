"""Parts of a packed network as networks of their own, so that the engine itself computes what there is to compare."""

from dataclasses import dataclass, replace

import numpy as np

from tfq.graph import kernels
from tfq.graph import nodes as g
from tfq.runtime.plan import paths

# Sums of whole numbers in float32 are exact up to here; larger accumulators come out of integers, rounded to float32.
_EXACT = 2**24
# Beyond so many channels the matrix that shows them would take too much memory.
_MOST_SHOWN = 2048


@dataclass(frozen=True)
class Site:
    """A tensor that is quantized: its name, the quantizer, and the first operation that takes it so (it names the site)."""

    name: str
    source: str
    quantizer: object


@dataclass(frozen=True)
class Segment:
    """What lies between the last convolution before a site and the site, as a network on one input.

    Attributes:
        graph: it gives the integers of the site (-1 and 1, or 0 ... 2^bits - 1).
        ports: names of the tensors that make up its input, one after another along the channels.
        product: name of the convolution or product in it; None where there is none.
    """

    graph: object
    ports: tuple
    product: str | None


def is_product(node):
    """Whether a node is a convolution, of images or of a sequence, or a product of matrices."""
    return paths.is_product(node) or isinstance(node, g.Conv1D)


def products(graph):
    """The convolutions and products of a graph, in order."""
    return [node for node in graph.nodes if is_product(node)]


def sites(graph):
    """The `Site`s of a graph, in the order of execution; operations that take one tensor by one quantizer share theirs."""
    found = {}
    for node in graph.nodes:
        quantizer = getattr(node, "quantizer", None)
        if quantizer is not None:
            found.setdefault((node.inputs[0], quantizer), Site(node.name, node.inputs[0], quantizer))
    return list(found.values())


def accumulators(graph, node):
    """The graph of one operation, without scale, bias and K: it gives the integer accumulators in float32."""
    return _part(graph, [_sums(node)], node.inputs[0])


def has_exact_sums(node):
    """Whether an operation has integer accumulators that float32 holds, or that the runtime counts as integers."""
    packed = node.quantizer is not None and isinstance(node.kernel, g.PackedKernel)
    return packed and (paths.reads_packed(node) or largest_accumulator(node) <= _EXACT)


def largest_accumulator(node):
    """No accumulator of an operation is larger in size."""
    widest = kernels.coding_of(node.kernel).largest(node.kernel.bits)
    return node.quantizer.highest * widest * int(np.prod(node.kernel.shape[:-1], dtype=np.int64))


def results(graph, node):
    """The graph of one operation as it is, and of the activation function of its layer."""
    own = [other for other in graph.nodes if other is node or other.name == f"{node.name}/activation"]
    return _part(graph, own, node.inputs[0])


def traced(graph, summed=()):
    """The whole graph, whose output is flat: the integers of each site, integer accumulators, and then the output of the graph.

    Args:
        graph: the packed `Graph`.
        summed: operations whose accumulators are shown.

    Returns:
        The `Graph`, and the number of values of each site and of each operation.
    """
    shows = [
        _show(f"shown:{index}", site.source, site.quantizer, graph.shapes[site.source]) for index, site in enumerate(sites(graph))
    ]
    sums = [replace(_sums(node), name=f"sums:{node.name}") for node in summed]
    names = [*(show[-1].name for show in shows), *(node.name for node in sums)]
    return shown(graph, names, [node for show in (*shows, sums) for node in show])


def shown(graph, names, more=()):
    """The whole graph, whose output is flat: tensors by their names, and then the output of the graph.

    Args:
        graph: the packed `Graph`.
        names: of the tensors.
        more: further operations, whose results `names` may have.

    Returns:
        The `Graph`, and the number of values of each tensor.
    """
    nodes, output = (*graph.nodes, *more), graph.nodes[-1].name
    shapes = replace(graph, nodes=nodes).shapes
    sizes = [int(np.prod(shapes[name])) for name in (*names, output)]
    flat = [g.Reshape(f"flat:{name}", (name,), (size,)) for name, size in zip((*names, output), sizes, strict=True)]
    flat_names = tuple(node.name for node in flat)
    last = g.Concatenate("all", flat_names) if names else g.Reshape("all", flat_names, shapes[output])
    return replace(graph, nodes=(*nodes, *flat, last)), sizes[:-1]


def segment(graph, site):
    """The `Segment` of a site."""
    shapes = graph.shapes
    chain, ports, product = _walk_back(graph, site.source)
    if len({shapes[port][:-1] for port in ports}) > 1:
        # One input cannot hold both: the convolution's result is taken from outside then.
        chain, ports, product = chain[1:], [product, *ports[1:]], None
    lengths = [shapes[port][-1] for port in ports]
    shape = (*shapes[ports[0]][:-1], sum(lengths))
    if len(ports) == 1:
        selected, names = [], {ports[0]: g.INPUT}
    else:
        selected = _select(lengths)
        names = dict(zip(ports, (node.name for node in selected), strict=True))
    own = [replace(node, inputs=tuple(names.get(name, name) for name in node.inputs)) for node in chain]
    source = names.get(site.source, site.source)
    shown = _show("shown", source, site.quantizer, shapes[site.source])
    return Segment(g.Graph(shape, (*selected, *own, *shown)), tuple(ports), product)


def _walk_back(graph, name):
    """The operations up to a tensor from the last convolution on, the tensors they take from before, that convolution's first."""
    by_name = {node.name: node for node in graph.nodes}
    order = {node.name: index for index, node in enumerate(graph.nodes)}
    chain, others = [], []
    while name in by_name and not isinstance(by_name[name], g.Quantize):
        node = by_name[name]
        chain.insert(0, node)
        if is_product(node):
            return chain, _distinct([node.inputs[0], *others]), node.name
        name = max(node.inputs, key=lambda name: order.get(name, -1))
        others += [other for other in node.inputs if other != name]
    return chain, _distinct([name, *others]), None


def _distinct(names):
    return list(dict.fromkeys(names))


def _select(lengths):
    """Matrices of 0 and 1 that take the input, joined along the channels, apart."""
    identity, ends = np.eye(sum(lengths), dtype=np.float32), np.cumsum(lengths)
    return [
        g.Dense(f"port:{index}", (g.INPUT,), g.FloatKernel(np.ascontiguousarray(identity[:, end - length : end])))
        for index, (length, end) in enumerate(zip(lengths, ends, strict=True))
    ]


def _show(name, source, quantizer, shape):
    """The integers of a quantizer: a product on its bits with the identity, read as the network's own products read them."""
    channels, n = shape[-1], quantizer.highest
    if channels > _MOST_SHOWN:
        factor = np.full(channels, n, np.float32)
        return [
            g.Quantize(f"{name}:levels", (source,), quantizer),
            g.ScaleShift(name, (f"{name}:levels",), factor, np.zeros(channels, np.float32)),
        ]
    return [g.Dense(name, (source,), kernels.pack(np.eye(channels), "ternary", scale=n), quantizer=quantizer)]


def _sums(node):
    """An operation without scale, bias and K."""
    changes = {"kmap": False} if isinstance(node, g.Conv2D) else {}
    n = node.quantizer.highest * kernels.denominator(node.kernel)
    return replace(node, kernel=replace(node.kernel, scale=np.array([n], np.float32)), bias=None, **changes)


def _part(graph, nodes, source):
    shape = graph.input_shape if source == g.INPUT else graph.shapes[source]
    return g.Graph(shape, (replace(nodes[0], inputs=(g.INPUT,)), *nodes[1:]))
