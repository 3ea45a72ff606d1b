"""Graphs that nobody would make, of which the reader accepts many: operations of all kinds, with odd sizes and values."""

import copy
import hashlib
import json
import math
import zlib

import numpy as np
from safetensors.numpy import save

from tfq.graph import codec
from tfq.graph import nodes as g
from tfq.graph.check import GraphError

_LENGTHS = (1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65)
_WIDE = (*_LENGTHS, 128, 255, 257, 1000, 5000)
_FAR = (1, 1, 1, 2, 2, 3, 4, 7, 100, 65_536, 2**31 - 1)
_VALUES = np.array(
    [0, -0.0, 1, -1, 0.5, 1e-45, -1e-45, 1.1754944e-38, 1e-30, 1e30, -1e30, 3.4e38, -3.4e38, 2**24 + 2, 2**31, 1 / 3], np.float32
)
_SWAPS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    2**31 - 1,
    2**31,
    2**63,
    10**30,
    0.5,
    -0.0,
    1e30,
    True,
    None,
    "",
    "same",
    "valid",
    "sign",
    "input",
    [],
    {},
    [1],
    [1, 1],
)
_MOST = 2**18  # values of a tensor; in one of many files `_RARE`
_RARE = 2**26
_TRIES = 6


class Grower:
    """Draws one file.

    Args:
        rng: NumPy generator, of which all follows.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.most = _RARE if rng.random() < 0.001 else _MOST

    def file(self) -> tuple[bytes, str]:
        """The bytes of a file with a right checksum, and its graph as JSON, which has no weights in it."""
        content, planes, floats, version = self._parts()
        if self.rng.random() < 0.3:
            content = self._changed(content)
        if self.rng.random() < 0.05:
            planes = self.rng.integers(0, 256, len(planes), dtype=np.uint8)
        text = json.dumps(content, separators=(",", ":"))
        tensors = {"graph": np.frombuffer(zlib.compress(text.encode(), 1), np.uint8), "planes": planes, "floats": floats}
        digest = hashlib.sha256()
        for array in tensors.values():
            digest.update(array.data)
        return save(tensors, {"format": "tfq", "version": version, "sha256": digest.hexdigest()}), text

    def _parts(self):
        shape = self._input_shape()
        nodes, shapes = [], {g.INPUT: shape}
        for number in range(self._between(1, 8)):
            node = self._node(f"n{number}", shapes)
            if node is not None:
                nodes.append(node)
        if not nodes:
            nodes = [g.ReLU("n", (g.INPUT,))]
        pixels = (
            (self._floats(shape[-1]), np.abs(self._floats(shape[-1])) + np.float32(1e-3)) if self._chance(0.3) else (None, None)
        )
        graph = g.Graph(shape, tuple(nodes), *pixels)
        content, arrays = codec.encode(graph)
        planes = np.concatenate([np.empty(0, np.uint8), *(part.ravel() for part in arrays.planes)])
        return content, planes, np.concatenate([np.empty(0, "<f4"), *arrays.floats]), str(codec.version(graph))

    def _input_shape(self):
        axes = self._pick(1, 2, 3, 3, 3)
        shape = [self._pick(*_LENGTHS) for _ in range(axes)]
        if self._chance(0.2):
            shape[self._between(0, axes - 1)] = self._pick(*_WIDE)
        return tuple(shape)

    def _node(self, name, shapes):
        """An operation on tensors that are there, or None after some tries; adds its shape."""
        for _ in range(_TRIES):
            names = list(shapes)
            source = names[-1] if self._chance(0.7) else self._pick(*names)
            try:
                node = self._pick(*_MAKERS[len(shapes[source])])(self, name, source, shapes)
                shape = node.infer([shapes[each] for each in node.inputs])
            except GraphError:
                continue
            if 0 < math.prod(shape) <= self.most and min(shape) > 0:
                shapes[name] = tuple(shape)
                return node
        return None

    # --- operations

    def _scale_shift(self, name, source, shapes):
        channels = shapes[source][-1]
        return g.ScaleShift(name, (source,), self._floats(channels), self._floats(channels))

    def _elementwise(self, name, source, shapes):
        limit = self._pick(None, 0.0, 6.0, 1e-30, 1e30)
        return self._pick(
            g.ReLU(name, (source,), limit), g.HardTanh(name, (source,)), g.Quantize(name, (source,), self._some_quantizer())
        )

    def _join(self, name, source, shapes):
        alike = [each for each, shape in shapes.items() if shape[:-1] == shapes[source][:-1]]
        chosen = tuple(self._pick(*alike) for _ in range(self._between(1, 3)))
        return self._pick(g.Add, g.Concatenate)(name, (source, *chosen))

    def _reshape(self, name, source, shapes):
        left, shape = math.prod(shapes[source]), []
        for _ in range(self._between(0, 2)):
            shape.append(self._pick(*(length for length in (1, 2, 3, 4, 8, 16, left) if left % length == 0)))
            left //= shape[-1]
        return g.Reshape(name, (source,), (*shape, left))

    def _dense(self, name, source, shapes):
        out = self._pick(*_WIDE) if self._chance(0.1) else self._pick(*_LENGTHS)
        return g.Dense(name, (source,), self._kernel((shapes[source][-1], out)), self._bias(out), self._quantizer())

    def _convolution(self, name, source, shapes):
        *size, channels = shapes[source]
        groups = self._pick(1, 1, 1, *(each for each in (2, 3, 4, channels) if channels % each == 0))
        out = groups * self._pick(*_LENGTHS[:10])
        window = [self._pick(1, 1, 2, 3, 5, length) if length < 40 else self._pick(1, 2, 3) for length in size]
        kernel = self._kernel((*window, channels // groups, out))
        padding = self._pick("same", "valid", *(("causal",) if len(size) == 1 else ()))
        common = {
            "bias": self._bias(out),
            "strides": self._far(len(size)),
            "dilations": self._far(len(size)) if self._chance(0.3) else (1,) * len(size),
            "padding": padding,
            "groups": groups,
            "quantizer": self._quantizer(),
            "pad_value": 0 if padding == "valid" else self._pick(0, 0, 1, -1),
        }
        if len(size) == 2:
            return g.Conv2D(name, (source,), kernel, **common, kmap=self._chance(0.2))
        return g.Conv1D(name, (source,), kernel, **common)

    def _transposed(self, name, source, shapes):
        *size, channels = shapes[source]
        out = self._pick(*_LENGTHS[:10])
        kernel = self._kernel((*(self._pick(1, 2, 3, 4) for _ in size), channels, out))
        kind = g.Conv2DTranspose if len(size) == 2 else g.Conv1DTranspose
        is_strided = self._chance(0.6)
        ones = (1,) * len(size)
        return kind(
            name, (source,), kernel, self._bias(out), self._far(len(size)) if is_strided else ones,
            ones if is_strided else self._far(len(size)), self._pick("same", "valid"),
            self._pick(None, None, tuple(self._between(0, 2) for _ in size)), self._quantizer(),
        )  # fmt: skip

    def _pool(self, name, source, shapes):
        size = shapes[source][:-1]
        window = tuple(self._pick(1, 2, 3, length) for length in size) if self._chance(0.8) else self._far(len(size))
        return self._pick(g.MaxPool, g.AveragePool)(name, (source,), window, self._far(len(size)), self._pick("same", "valid"))

    def _global(self, name, source, shapes):
        return self._pick(g.GlobalMaxPool, g.GlobalAveragePool)(name, (source,), self._chance(0.5))

    def _pad(self, name, source, shapes):
        return g.ZeroPad(name, (source,), tuple(self._pick(0, 0, 1, 2, 7) for _ in range(2 * (len(shapes[source]) - 1))))

    # --- attributes

    def _kernel(self, shape):
        weights = math.prod(shape)
        if weights > 2**20:
            raise GraphError("too large to be drawn")
        coding, bits = self._pick(
            ("float", 0),
            ("binary", 1),
            ("binary", 1),
            ("ternary", 2),
            ("levels", self._between(2, 16)),
            ("integer", self._between(2, 16)),
        )
        if coding == "float":
            return g.FloatKernel(self._floats(weights).reshape(shape))
        planes = np.packbits(self.rng.integers(0, 2, (bits, weights), dtype=np.uint8), axis=1, bitorder="little")
        if self._chance(0.1):
            planes[:] = 0
        if coding == "ternary":
            planes[1] &= planes[0]
        return g.PackedKernel(coding, bits, shape, planes, self._floats(self._pick(1, shape[-1])))

    def _bias(self, out):
        return self._floats(out) if self._chance(0.5) else None

    def _some_quantizer(self):
        return self._pick(g.Sign(), g.Sign(), g.Levels(self._between(1, 16)))

    def _quantizer(self):
        return self._some_quantizer() if self._chance(0.7) else None

    def _floats(self, count):
        values = self.rng.normal(size=count).astype(np.float32)
        if self._chance(0.2):
            where = self.rng.random(count) < 0.3
            values[where] = self.rng.choice(_VALUES, int(where.sum()))
        return values

    def _far(self, axes):
        return tuple(self._pick(*_FAR) if self._chance(0.2) else self._pick(1, 1, 2, 3) for _ in range(axes))

    def _changed(self, content):
        """The JSON with one or two values in other places, or of another kind."""
        content = copy.deepcopy(content)
        for _ in range(self._between(1, 2)):
            places = list(_places(content))
            place, key = places[self._between(0, len(places) - 1)]
            before = place[key]
            if type(before) is int and self._chance(0.5):
                place[key] = before + self._pick(-1, 1)
            else:
                place[key] = copy.deepcopy(_SWAPS[self._between(0, len(_SWAPS) - 1)])
        return content

    # --- draws

    def _chance(self, probability):
        return self.rng.random() < probability

    def _between(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def _pick(self, *options):
        return options[self._between(0, len(options) - 1)]


def _places(value):
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from _places(inner)


_ANY = (Grower._scale_shift, Grower._elementwise, Grower._join, Grower._reshape, Grower._dense)
_WINDOWS = (
    Grower._convolution,
    Grower._convolution,
    Grower._convolution,
    Grower._transposed,
    Grower._pool,
    Grower._pool,
    Grower._global,
    Grower._pad,
)
# By the number of axes of the tensor that the operation takes.
_MAKERS = {1: _ANY, 2: (*_ANY, *_WINDOWS), 3: (*_ANY, *_WINDOWS)}
