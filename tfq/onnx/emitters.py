"""Which function writes an operation of a graph as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from tfq.graph.check import GraphError

if TYPE_CHECKING:
    from tfq.onnx.writer import Writer

# From the writer, the operation and the names of the tensors that it takes to the name of its result.
Emitter: TypeAlias = "Callable[..., str]"

_EMITTERS: dict[type, Emitter] = {}


class OnnxError(GraphError):
    """A graph that has no form in ONNX, or in QONNX; the message names the operation."""


def emits(*operations: type) -> Callable[[Emitter], Emitter]:
    """Make a function write operations; a decorator, for operations of one's own too.

        @tfq.onnx.emits(Power)
        def power(writer, node, x):
            return writer.add("Pow", x, writer.constant(np.float32(node.exponent)))

    Tensors of images are (batch, channels, height, width) there, and of sequences (batch, channels, length).

    Args:
        *operations: subclasses of `tfq.graph.Node`.
    """

    def keep(emitter: Emitter) -> Emitter:
        _EMITTERS.update(dict.fromkeys(operations, emitter))
        return emitter

    return keep


def emit(writer: Writer, node: Any, *tensors: str) -> str:
    """Write an operation; returns the name of its result.

    Raises:
        OnnxError: nobody has said how.
    """
    if type(node) not in _EMITTERS:
        raise OnnxError(f"{node.name!r}: operation {type(node).__name__} has no form in ONNX: see tfq.onnx.emits")
    return _EMITTERS[type(node)](writer, node, *tensors)
