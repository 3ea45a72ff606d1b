"""Collects the nodes and constants of an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfq.onnx.signs import signs
from tfq.optional import require

if TYPE_CHECKING:
    from tfq.graph.nodes import Graph
    from tfq.onnx.dialect import Dialect


class Writer:
    """What emitters write to.

    Attributes:
        graph: the graph that is written.
        dialect: how quantizers and packed kernels are written.
        nodes: of ONNX, in an order in which they can be run.
        constants: initializers of ONNX.
        signs: names of the operations whose results are -1 and 1 alone.
    """

    def __init__(self, graph: Graph, dialect: Dialect) -> None:
        self.graph, self.dialect = graph, dialect
        self.signs = signs(graph)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._onnx = require("onnx")
        self._within = ""
        self._names: set[str] = set()

    def within(self, name: str) -> None:
        """Name what comes next after this operation of the graph."""
        self._within = name

    def add(self, kind: str, *inputs: str, domain: str = "", result: str | None = None, **attributes: Any) -> str:
        """Add a node of one result; returns the name of it.

        Args:
            kind: type of the node, such as "Conv".
            *inputs: names of tensors; "" for one that is left out.
            domain: of its type; "" is that of ONNX.
            result: name of the result, if it must be another.
            **attributes: of the node.
        """
        name = self._unique(kind)
        node = self._onnx.helper.make_node(kind, list(inputs), [result or name], name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return node.output[0]

    def maker(self, tensor: str) -> str | None:
        """Type of the node that makes a tensor; None where it comes from outside."""
        return next((node.op_type for node in reversed(self.nodes) if tensor in node.output), None)

    def constant(self, values: Any, what: str = "constant") -> str:
        """Add a constant of the type of its array; returns the name of it."""
        name = self._unique(what)
        # `ascontiguousarray` makes an axis of none.
        self.constants.append(self._onnx.numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def padded(self, x: str, pairs: Sequence[tuple[int, int]], value: float) -> str:
        """Margins of a value around images or sequences, (before, behind) of each axis behind the channels."""
        if not any(map(any, pairs)):
            return x
        pads = [0, 0, *(before for before, _ in pairs), 0, 0, *(behind for _, behind in pairs)]
        return self.add("Pad", x, self.constant(np.array(pads, np.int64), "pads"), self.constant(np.float32(value), "margin"))

    def _unique(self, what):
        base = f"{self._within}/{what}" if self._within else what
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return name
