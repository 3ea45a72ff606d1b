"""A graph as JSON values, bit planes and floats, and back; the layout is in docs/packed-format.md."""

import dataclasses
import math

import numpy as np

from tfq.graph import kernels
from tfq.graph import nodes as g
from tfq.graph.check import GraphError, infer

# Sizes, strides, lengths: more would be an attack, and products of them are Python integers in any case.
_MAX_INTEGER = 2**31 - 1
_MAX_NUMBER = 1e30
MAX_NAME = 500  # characters of a layer's name, or a label

_OPERATIONS = {
    cls.__name__: cls
    for cls in (
        g.Conv2D,
        g.Dense,
        g.ScaleShift,
        g.ReLU,
        g.HardTanh,
        g.Quantize,
        g.ZeroPad,
        g.MaxPool,
        g.AveragePool,
        g.GlobalMaxPool,
        g.GlobalAveragePool,
        g.Add,
        g.Concatenate,
        g.Reshape,
    )
}


class Arrays:
    """Where the arrays of the operations come from, or go to: two streams, of bytes (bit planes) and of float32 values."""

    def __init__(self, planes=None, floats=None):
        self._left = {"planes": planes, "floats": floats}
        self.planes, self.floats = [], []

    def put_floats(self, values):
        """Append values; returns their number."""
        self.floats.append(np.ascontiguousarray(values, dtype="<f4").ravel())
        return int(self.floats[-1].size)

    def take_floats(self, shape):
        """The next values, in this shape."""
        return self._take("floats", math.prod(shape)).reshape(shape)

    def take_planes(self, count, weights):
        """The next `count` planes of `weights` bits each."""
        return self._take("planes", count * -(-weights // 8)).reshape(count, -1)

    def check_empty(self):
        """Raise unless all was taken."""
        for name, left in self._left.items():
            if len(left):
                raise GraphError(f"{len(left)} values of {name!r} belong to no operation")

    def _take(self, name, count):
        left = self._left[name]
        if count > len(left):
            raise GraphError(f"{count} values of {name!r} are wanted where {len(left)} are left")
        self._left[name] = left[count:]
        return left[:count]


# --- one value of an attribute: to JSON and back


def _integer(low=1, high=_MAX_INTEGER):
    def decode(value, _):
        if type(value) is not int or not low <= value <= high:
            raise GraphError(f"expected an integer from {low} to {high}; got {_shown(value)}")
        return value

    return decode


def _one_of(*allowed):
    def decode(value, _):
        if not any(type(value) is type(choice) and value == choice for choice in allowed):
            raise GraphError(f"expected {' or '.join(map(repr, allowed))}; got {_shown(value)}")
        return value

    return decode


def _dimensions(*ranks, low=1):
    size = _integer(low)

    def decode(value, arrays):
        if type(value) is not list or len(value) not in ranks:
            raise GraphError(f"expected a list of {' or '.join(map(str, ranks))} sizes; got {_shown(value)}")
        return tuple(size(length, arrays) for length in value)

    return decode


def _number(value, _):
    if type(value) not in (int, float) or not 0 <= value <= _MAX_NUMBER:
        raise GraphError(f"expected a number from 0 to {_MAX_NUMBER:g}; got {_shown(value)}")
    return float(value)


def _text(value, _):
    if type(value) is not str or not 0 < len(value) <= MAX_NAME:
        raise GraphError(f"expected a text of 1 to {MAX_NAME} characters; got {_shown(value)}")
    return value


def _texts(value, _):
    if type(value) is not list:
        raise GraphError(f"expected a list of texts; got {_shown(value)}")
    return tuple(_text(item, _) for item in value)


def _vector(value, arrays):
    return arrays.take_floats((_integer()(value, arrays),))


def _quantizer(value, arrays):
    return g.Sign() if value == "sign" else g.Levels(_integer(1, kernels.MAX_BITS)(value, arrays))


def _kernel(value, arrays):
    if type(value) is not dict:
        raise GraphError(f"expected an object; got {_shown(value)}")
    coding = kernels.CODINGS[_one_of(*kernels.CODINGS)(value["coding"], arrays)] if "coding" in value else None
    packed = set() if coding is None else {"coding", "scale", *(["bits"] if coding.fixed_bits is None else [])}
    _check_keys(value, {"shape", *packed})
    shape = _dimensions(2, 4)(value["shape"], arrays)
    if coding is None:
        return g.FloatKernel(arrays.take_floats(shape))
    bits = coding.fixed_bits or _integer(2, kernels.MAX_BITS)(value["bits"], arrays)
    planes = arrays.take_planes(bits, math.prod(shape))
    if (wrong := kernels.wrong(coding.name, planes, math.prod(shape))) is not None:
        raise GraphError(wrong)
    return g.PackedKernel(coding.name, bits, shape, planes, _vector(value["scale"], arrays))


_DECODERS = {
    "kernel": _kernel,
    "bias": _vector,
    "scale": _vector,
    "shift": _vector,
    "quantizer": _quantizer,
    "strides": _dimensions(2),
    "dilations": _dimensions(2),
    "widths": _dimensions(4, low=0),
    "pool_size": _dimensions(2),
    "padding": _one_of("same", "valid"),
    "groups": _integer(),
    "pad_value": _one_of(0, 1, -1),
    "kmap": _one_of(True, False),
    "keepdims": _one_of(True, False),
    "max_value": _number,
    "shape": _dimensions(1, 3),
}


def _encoded(value, arrays):
    """JSON value of an attribute; arrays go into `arrays` and leave their length."""
    if isinstance(value, np.ndarray):
        return arrays.put_floats(value)
    if isinstance(value, g.FloatKernel):
        arrays.put_floats(value.values)
        return {"shape": list(value.shape)}
    if isinstance(value, g.PackedKernel):
        arrays.planes.append(value.planes.ravel())
        bits = {"bits": value.bits} if kernels.coding_of(value).fixed_bits is None else {}
        return {"coding": value.coding, **bits, "shape": list(value.shape), "scale": arrays.put_floats(value.scale)}
    if isinstance(value, g.Sign | g.Levels):
        return "sign" if isinstance(value, g.Sign) else value.bits
    return list(value) if isinstance(value, tuple) else value


# --- operations and graphs


def version(graph):
    """The oldest version of a file that holds a graph."""
    packed = (node.kernel for node in graph.nodes if isinstance(getattr(node, "kernel", None), g.PackedKernel))
    return max((kernels.coding_of(kernel).version for kernel in packed), default=1)


def encode(graph):
    """JSON value of a graph, and the `Arrays` that its operations need, in their order.

    What follows from the rest is left out: attributes at their defaults, and inputs that are just the operation before.
    """
    arrays = Arrays()
    content = {"input_shape": list(graph.input_shape)}
    for name in ("pixel_mean", "pixel_std"):
        if getattr(graph, name) is not None:
            content[name] = arrays.put_floats(getattr(graph, name))
    if graph.labels:
        content["labels"] = list(graph.labels)
    content["nodes"] = []
    before = g.INPUT
    for node in graph.nodes:
        content["nodes"].append(_encode_node(node, before, arrays))
        before = node.name
    return content, arrays


def _encode_node(node, before, arrays):
    content = {"op": type(node).__name__, "name": node.name}
    if node.inputs != (before,):
        content["inputs"] = list(node.inputs)
    for field in _attributes(type(node)):
        value = getattr(node, field.name)
        # Defaults are no arrays, so only values that are none are compared.
        if isinstance(value, np.ndarray) or value != field.default:
            content[field.name] = _encoded(value, arrays)
    return content


def decode(content, arrays):
    """The graph that `encode` made this of.

    Args:
        content: JSON value, from a file that may be anything.
        arrays: `Arrays` to take from.

    Raises:
        GraphError: it is not a graph.
    """
    _check_keys(content, {"input_shape", "nodes"}, {"pixel_mean", "pixel_std", "labels"})
    if type(content["nodes"]) is not list:
        raise GraphError(f"'nodes' must be a list; got {_shown(content['nodes'])}")
    input_shape = _attribute("the graph", "input_shape", _dimensions(1, 3), content["input_shape"], arrays)
    optional = {"pixel_mean": _vector, "pixel_std": _vector, "labels": _texts}
    given = {name: _attribute("the graph", name, optional[name], content[name], arrays) for name in optional if name in content}
    nodes, before = [], g.INPUT
    for item in content["nodes"]:
        nodes.append(_decode_node(item, before, arrays))
        before = nodes[-1].name
    graph = g.Graph(input_shape, tuple(nodes), **given)
    infer(graph)
    arrays.check_empty()
    return graph


def _decode_node(content, before, arrays):
    if type(content) is not dict or type(content.get("op")) is not str or content["op"] not in _OPERATIONS:
        op = content.get("op") if type(content) is dict else content
        raise GraphError(f"operation {_shown(op)} is unknown; known are {', '.join(_OPERATIONS)}")
    cls = _OPERATIONS[content["op"]]
    fields = _attributes(cls)
    required = {field.name for field in fields if field.default is dataclasses.MISSING}
    _check_keys(content, {"op", "name", *required}, {"inputs", *(field.name for field in fields)})
    name = _attribute(content["op"], "name", _text, content["name"], arrays)
    inputs = _attribute(name, "inputs", _texts, content["inputs"], arrays) if "inputs" in content else (before,)
    given = [field.name for field in fields if field.name in content]
    return cls(name, inputs, **{key: _attribute(name, key, _DECODERS[key], content[key], arrays) for key in given})


def _attributes(cls):
    return [field for field in dataclasses.fields(cls) if field.name not in ("name", "inputs")]


def _attribute(owner, name, decoder, value, arrays):
    try:
        return decoder(value, arrays)
    except GraphError as error:
        raise GraphError(f"{name!r} of {_shown(owner)}: {error}") from None


def _check_keys(content, required, optional=()):
    if type(content) is not dict:
        raise GraphError(f"expected an object; got {_shown(content)}")
    for key in content:
        if key not in required and key not in optional:
            raise GraphError(f"attribute {_shown(key)} is unknown in {_shown(content.get('name', 'the file'))}")
    for key in sorted(required):
        if key not in content:
            raise GraphError(f"attribute {key!r} is missing in {_shown(content.get('name', 'the file'))}")


def _shown(value):
    """A value of a file in an error: never long, never more than a line."""
    text = ascii(value) if type(value) in (str, int, float, bool, type(None)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
