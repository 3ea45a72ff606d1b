"""The C of a network while it is written: calls, the buffers between them, constants, and the kernels that they need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfq.c.arena import Buffer
from tfq.c.constants import NULL, Constants, Text
from tfq.graph import nodes as g
from tfq.graph import shapes
from tfq.runtime.plan.paths import input_bits, is_product, scales_inputs
from tfq.runtime.plan.plan import PackedTensor, Plan

if TYPE_CHECKING:
    from tfq.c.edges import Edges
    from tfq.c.residuals import Residual

OUTPUT = ("output",)
WORD = 32
NO_QUANTIZER = -1
# Where low is above high, nothing is clamped.
NO_CLAMP = (1.0, -1.0)


@dataclass(frozen=True)
class Structure:
    """A structure that a call is given the address of; it may hold buffers."""

    ctype: str
    fields: tuple


@dataclass(frozen=True)
class Call:
    """A call of a kernel.

    Attributes:
        layer: name of the operation that it computes, or is a part of.
        function: its name.
        arguments: numbers, `Text`, `Buffer` and `Structure`.
        over: (target, source), where the target may be written over the source.
    """

    layer: str
    function: str
    arguments: tuple
    over: tuple[Buffer, Buffer] | None = None

    def buffers(self) -> Iterator[Buffer]:
        """All that it reads or writes."""
        for argument in self.arguments:
            parts = argument.fields if isinstance(argument, Structure) else (argument,)
            yield from (part for part in parts if isinstance(part, Buffer))


class Source:
    """Collects the C of a network.

    Args:
        plan: of the network.
        prefix: of the names of its constants.
        edges: how products of floats are computed, one of `tfq.c.edges.EDGES`.
        residual: how tensors are kept that convolutions add to, one of `tfq.c.residuals.RESIDUALS`.

    Attributes:
        plan: see above.
        edges: likewise.
        residual: likewise.
        steps: of the tensors that are kept in fixed point, by name; see `tfq.c.residuals`.
        constants: `Constants`.
        calls: so far.
        kernels: names of the kernel files that are needed.
        functions: C text of further functions, by name.
        macs: multiply-accumulates by what is multiplied.
        products_of_floats: names of the convolutions and products with float inputs or float weights, by their arithmetic.
        deferred: `tfq_results` of the tensors that are kept as integer sums, and the buffers of these, by name.
        packed_in_passing: tensors that need no call of their own to be packed.
    """

    def __init__(self, plan: Plan, prefix: str, edges: Edges, residual: Residual) -> None:
        self.plan, self.constants, self.edges, self.residual = plan, Constants(prefix), edges, residual
        self.steps: Mapping[str, float] = {}
        self.calls: list[Call] = []
        self.kernels: set[str] = set()
        self.functions: dict[str, str] = {}
        self.macs: dict[str, int] = {}
        self.products_of_floats: dict[str, list[str]] = {"float": [], "int8": []}
        self.deferred: dict[str, tuple[Text, Buffer]] = {}
        self.packed_in_passing: set[PackedTensor] = set()
        self._nodes = {node.name: node for node in plan.nodes}
        self._output = plan.nodes[-1].name
        self._same = self._reshaped()

    def call(self, layer: str, function: str, *arguments: Any, over: tuple[Buffer, Buffer] | None = None) -> None:
        """Append a call; `layer` is the name of the operation."""
        self.calls.append(Call(self.plan.origins.get(layer, layer), function, arguments, over))

    def need(self, *kernels: str) -> None:
        """Bring files of `tfq/c/kernels/` in, by their names without the ending."""
        self.kernels.update(kernels)

    def define(self, name: str, text: str) -> None:
        """Bring in a function of one's own: C text, once for each name."""
        self.functions[name] = text.strip()

    def size(self, name: str) -> int:
        """Elements of a tensor."""
        return math.prod(self.plan.shapes[name])

    def image(self, name: str) -> tuple[int, int, int]:
        """(height, width, channels) of a tensor."""
        return shapes.as_image(self.plan.shapes[name])

    def tensor(self, name: str) -> Buffer:
        """A tensor, in float or in fixed point."""
        name = self._same.get(name, name)
        if name in self.steps:
            return Buffer(name, "int16_t", 2 * self.size(name))
        return Buffer(OUTPUT if self.is_output(name) else name, "float", 4 * self.size(name))

    def _reshaped(self):
        """The name of the tensor that lies where a reshaped one does."""
        same: dict[str, str] = {}
        for node in self.plan.nodes:
            source = same.get(node.inputs[0], node.inputs[0]) if isinstance(node, g.Reshape) else g.INPUT
            # The caller's input is not his output.
            if isinstance(node, g.Reshape) and not (source == g.INPUT and node.name == self._output):
                same[node.name] = source
        return same

    def scratch(self, layer: str, ctype: str, size: int) -> Buffer:
        """Memory for one call of an operation, in bytes."""
        return Buffer(("scratch", layer), ctype, size)

    def packed(self, packed: PackedTensor) -> Buffer:
        """A tensor of bits or bytes."""
        height, width, channels = self.image(packed.source)
        if packed.bytes:
            return Buffer(packed, "uint8_t", height * width * channels)
        words = height * width * -(-channels // WORD) * input_bits(packed.quantizer)
        return Buffer(packed, "uint32_t", 4 * words)

    def packing(self, packed: PackedTensor | None) -> dict:
        """The fields of a `tfq_packing`."""
        if packed is None:
            return {"quantizer": NO_QUANTIZER, "channels": 0, "words": 0, "plane": 0, "bytes": 0, "scale": NULL, "shift": NULL}
        height, width, channels = self.image(packed.source)
        words = -(-channels // WORD)
        scale, shift = self.affine(packed.affine)
        return {
            "quantizer": quantizer_code(packed.quantizer), "channels": channels, "words": words,
            "plane": height * width * words, "bytes": packed.bytes, "scale": scale, "shift": shift,
        }  # fmt: skip

    def is_read_in_float(self, name: str) -> bool:
        """Whether a tensor is the result of the network, or an operation takes its values as they are."""
        return self.is_output(name) or self.is_residual(name) or self.has_float_reader(name)

    def has_float_reader(self, name: str) -> bool:
        """Whether an operation of its own takes the values of a tensor as they are."""
        return any(self._takes_floats(node) for node in self.readers(name))

    def is_residual(self, name: str) -> bool:
        """Whether a tensor is added to the result of a convolution as that is computed."""
        return any(fused.residual == name for fused in self.plan.fused.values())

    def _takes_floats(self, node):
        if not is_product(node):
            return node.name in self.plan.needed
        return node.name not in self.plan.packed or scales_inputs(node)

    def pack(self, name: str, but: PackedTensor | None = None) -> None:
        """Pack a tensor in all ways that others read it, `but` one that has been packed in passing."""
        height, width, _ = self.image(name)
        for packed in self.plan.margins:
            if packed.source == name and packed != but and packed not in self.packed_in_passing:
                self.need("results", "pack")
                how = self.constants.structure("tfq_packing", **self.packing(packed))
                self.call(name, "tfq_pack", how, height * width, self.tensor(name), self.packed(packed))

    def affine(self, node: g.ScaleShift | str | None) -> tuple[Text, Text]:
        """The constants of a `ScaleShift`, which may be given by its name."""
        if node is None:
            return NULL, NULL
        found: Any = self._nodes[node] if isinstance(node, str) else node
        return self.constants.array(found.scale, "f4"), self.constants.array(found.shift, "f4")

    def count(self, kind: str, macs: int) -> None:
        """Count multiply-accumulates."""
        self.macs[kind] = self.macs.get(kind, 0) + macs

    def compute_floats(self, layer: str, kind: str) -> None:
        """Note by which arithmetic an operation is computed; of its parts, all by the same, once."""
        name = self.plan.origins.get(layer, layer)
        if name not in self.products_of_floats[kind]:
            self.products_of_floats[kind].append(name)

    def readers(self, name: str) -> list:
        """The operations that take a tensor, of those that are computed by themselves."""
        return [node for node in self.plan.nodes if name in node.inputs and node.name not in self.plan.inside]

    def is_output(self, name: str) -> bool:
        """Whether a tensor is the result of the network."""
        return self._same.get(name, name) == self._same.get(self._output, self._output)


def quantizer_code(quantizer: g.Sign | g.Levels | None) -> int:
    """A quantizer as the number that kernels know it by."""
    if quantizer is None:
        return NO_QUANTIZER
    return 0 if isinstance(quantizer, g.Sign) else quantizer.bits


def as_floats(values: Any, count: int) -> np.ndarray:
    """One float32 a channel, of as many or of one for all."""
    return np.broadcast_to(np.asarray(values, np.float32).reshape(-1), (count,))


def places(
    source: Source, input_scale: Any = NULL, residual: Any = NULL, target: Any = NULL, packed: Any = NULL, sums: Any = NULL
) -> Structure:
    """The argument that says where results go."""
    if not source.steps:
        return Structure("tfq_places", (input_scale, residual, target, packed, sums))
    fixed = [buffer if isinstance(buffer, Buffer) and buffer.name in source.steps else None for buffer in (residual, target)]
    floats = [NULL if of_fixed else buffer for buffer, of_fixed in zip((residual, target), fixed, strict=True)]
    steps = [(buffer, float(source.steps[buffer.name])) if buffer else (NULL, 1.0) for buffer in fixed]  # type: ignore[index]
    return Structure("tfq_places", (input_scale, *floats, packed, sums, *steps[0], *steps[1]))
