"""Which function writes the C of an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from tfq.graph.check import GraphError
from tfq.graph.nodes import BUILT_IN
from tfq.graph.operations import Node

if TYPE_CHECKING:
    from typing import Any

    from tfq.c.source import Source

# It takes the source that is written and a node, and adds the calls that compute it.
Emitter: TypeAlias = "Callable[[Source, Any], None]"

_EMITTERS: dict[type[Node], Emitter] = {}


class NoC(GraphError):
    """A network that has no C source; the message names the operations."""


def register_c(*kinds: type[Node]) -> Callable[[Emitter], Emitter]:
    """Decorate the function that writes the C of operations of one's own.

        @register_c(Power)
        def power(source, node):
            source.define("power", POWER)  # the text of a static function
            x, y = source.tensor(node.inputs[0]), source.tensor(node.name)
            source.call(node.name, "power", source.size(node.name), node.exponent, x, y)

    Args:
        kinds: classes of operations.

    Raises:
        TypeError: one of them is none.
    """
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Node)):
            raise TypeError(f"register_c takes classes of operations, subclasses of tfq.graph.Node; got {kind!r}")

    def register(emitter: Emitter) -> Emitter:
        for kind in kinds:
            _EMITTERS[kind] = emitter
        return emitter

    return register


def emitter_of(node: Node) -> Emitter | None:
    """The function that writes the C of an operation; None where there is none."""
    return _EMITTERS.get(type(node))


def check(nodes: tuple[Node, ...]) -> None:
    """Raise where there is no C for an operation.

    Raises:
        NoC: it names each of them.
    """
    # A subclass may compute something else. Of the operations of the package, the plan makes others that all have C.
    known = {*BUILT_IN, *_EMITTERS}
    missing = [f"{node.name!r} ({type(node).__name__})" for node in nodes if type(node) not in known]
    if missing:
        raise NoC(f"there is no C for {', '.join(missing)}: see tfq.c.register_c")
