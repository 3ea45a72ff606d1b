"""A graph as JSON values, bit planes and floats, and back; the layout is in docs/packed-format.md."""

import dataclasses
from typing import Any

import numpy as np

from tfq.graph import nodes as g
from tfq.graph import operations
from tfq.graph.check import GraphError
from tfq.graph.fields import MAX_NAME, SHAPE, TEXT, TEXTS, VECTOR, Arrays, check_keys, shown

__all__ = ["MAX_NAME", "Arrays", "decode", "encode", "version"]

# The first version whose tensors may be (length, channels).
_OF_SEQUENCES = 3

_OF_GRAPH = {"pixel_mean": VECTOR, "pixel_std": VECTOR, "labels": TEXTS}


def version(graph: g.Graph) -> int:
    """The oldest version of a file that holds a graph."""
    return max(_of_shapes(graph), *(_version(node) for node in graph.nodes))


def _of_shapes(graph):
    return _OF_SEQUENCES if any(len(shape) == 2 for shape in graph.shapes.values()) else 1


def _version(node):
    codecs = operations.operation_of(node).codecs
    given = {name: getattr(node, name) for name in codecs}
    return max([node.version, *(codecs[name].version(value) for name, value in given.items() if value is not None)])


def encode(graph: g.Graph) -> tuple[dict, Arrays]:
    """JSON value of a graph, and the `Arrays` that its operations need, in their order.

    What follows from the rest is left out: attributes at their defaults, and inputs that are just the operation before.
    """
    arrays = Arrays()
    content = {"input_shape": list(graph.input_shape)}
    for name in ("pixel_mean", "pixel_std"):
        if getattr(graph, name) is not None:
            content[name] = VECTOR.encode(getattr(graph, name), arrays)
    if graph.labels:
        content["labels"] = TEXTS.encode(graph.labels, arrays)
    content["nodes"] = []
    before = g.INPUT
    for node in graph.nodes:
        content["nodes"].append(_encode_node(node, before, arrays))
        before = node.name
    return content, arrays


def _encode_node(node, before, arrays):
    operation = operations.operation_of(node)
    content = {"op": type(node).__name__, "name": node.name}
    if node.inputs != (before,):
        content["inputs"] = list(node.inputs)
    for field in operation.attributes:
        value = getattr(node, field.name)
        # Defaults are no arrays, so only values that are none are compared.
        if isinstance(value, np.ndarray) or value != field.default:
            content[field.name] = operation.codecs[field.name].encode(value, arrays)
    return content


def decode(content: Any, arrays: Arrays) -> g.Graph:
    """The graph that `encode` made this of.

    Args:
        content: JSON value, from a file that may be anything.
        arrays: `Arrays` to take from.

    Raises:
        GraphError: it is not a graph.
    """
    check_keys(content, {"input_shape", "nodes"}, _OF_GRAPH)
    if type(content["nodes"]) is not list:
        raise GraphError(f"'nodes' must be a list; got {shown(content['nodes'])}")
    input_shape = _attribute("the graph", "input_shape", SHAPE, content, arrays)
    given = {name: _attribute("the graph", name, codec, content, arrays) for name, codec in _OF_GRAPH.items() if name in content}
    nodes, before = [], g.INPUT
    for item in content["nodes"]:
        nodes.append(_decode_node(item, before, arrays))
        before = nodes[-1].name
    graph = g.Graph(input_shape, tuple(nodes), **given)
    arrays.check_empty()
    return graph


def _decode_node(content, before, arrays):
    known = operations.registered()
    if type(content) is not dict or type(content.get("op")) is not str or content["op"] not in known:
        op = content.get("op") if type(content) is dict else content
        raise GraphError(f"operation {shown(op)} is unknown; known are {', '.join(known)}; see tfq.graph.register_operation")
    operation = known[content["op"]]
    required = {field.name for field in operation.attributes if field.default is dataclasses.MISSING}
    check_keys(content, {"op", "name", *required}, {"inputs", *operation.codecs})
    name = _attribute(content["op"], "name", TEXT, content, arrays)
    inputs = _attribute(name, "inputs", TEXTS, content, arrays) if "inputs" in content else (before,)
    given = {key: _attribute(name, key, codec, content, arrays) for key, codec in operation.codecs.items() if key in content}
    return operation.node(name, inputs, **given)


def _attribute(owner, name, codec, content, arrays):
    try:
        return codec.decode(content[name], arrays)
    except GraphError as error:
        raise GraphError(f"{name!r} of {shown(owner)}: {error}") from None
