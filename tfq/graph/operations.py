"""What an operation of a graph is: a dataclass of its attributes, the shape of its result, and its result in NumPy.

One class says all that a graph needs to know. An operation of one's own is a class outside of this package:

    @register_operation
    @dataclass(frozen=True)
    class Power(Node):
        exponent: float = 2.0

        def infer(self, shapes):
            return check.one(self, shapes)

        def compute(self, x):
            return x**self.exponent

`register_operation` makes files hold it: its name in a file is the name of the class, its attributes those of the dataclass.
"""

import dataclasses
import typing
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from tfq.graph import fields
from tfq.graph.check import GraphError


@dataclass(frozen=True)
class Node:
    """An operation: its name and the names of the operations (or `INPUT`) whose results it takes.

    Attributes:
        version: of the first file that holds the operation.
    """

    version: ClassVar[int] = 1

    name: str
    inputs: tuple

    def infer(self, shapes: list[tuple]) -> tuple:
        """Shape of the result without the batch axis, of those of the inputs.

        Raises:
            GraphError: they do not fit; the message names the operation.
        """
        raise GraphError(f"{self.name!r}: {type(self).__name__} does not say the shape of its result (`infer`)")

    def compute(self, *tensors: np.ndarray) -> np.ndarray:
        """The result in float64, of those of the inputs, with the batch axis: the definition of the operation."""
        raise GraphError(f"{self.name!r}: {type(self).__name__} does not say how it is computed (`compute`)")


@dataclass(frozen=True)
class Operation:
    """An operation as files know it.

    Attributes:
        node: its class.
        attributes: `dataclasses.Field` of each attribute, in the order of the file.
        codecs: how the value of each is written and read, by its name.
    """

    node: type[Node]
    attributes: tuple[dataclasses.Field, ...]
    codecs: dict[str, fields.Codec]


_OPERATIONS = {}


# An operation as its decorator leaves it.
NodeClass = TypeVar("NodeClass", bound=type)


def register_operation(node: NodeClass) -> NodeClass:
    """Make files hold an operation; gives its class back, as a decorator does.

    A file with the operation is read where it has been registered, and refused elsewhere.

    Args:
        node: a frozen dataclass that subclasses `Node`. Its attributes are annotated with types that a file holds: `bool`,
            `int`, `float`, `str`, `np.ndarray` (float32, one axis), `tfq.graph.nodes.Kernel`, `tfq.graph.nodes.Quantizer`,
            `Literal`, those of `tfq.graph.fields`, and `... | None` of them with the default None.

    Raises:
        TypeError: it is no such class.
        ValueError: another class of this name is registered.
    """
    if not (isinstance(node, type) and issubclass(node, Node) and dataclasses.is_dataclass(node)):
        raise TypeError(f"an operation is a dataclass that subclasses tfq.graph.Node; got {node!r}")
    if "__dataclass_params__" not in vars(node) or not vars(node)["__dataclass_params__"].frozen:
        raise TypeError(f"operation {node.__name__} must be decorated with @dataclass(frozen=True)")
    for method in ("infer", "compute"):
        if getattr(node, method) is getattr(Node, method):
            raise TypeError(f"operation {node.__name__} needs a method `{method}`")
    known = _OPERATIONS.get(node.__name__)
    if known and (known.node.__module__, known.node.__qualname__) != (node.__module__, node.__qualname__):
        raise ValueError(f"an operation {node.__name__} is registered already, of {known.node.__module__}")
    attributes = tuple(field for field in dataclasses.fields(node) if field.name not in ("name", "inputs"))
    kinds = typing.get_type_hints(node, include_extras=True)
    codecs = {field.name: fields.codec_of(kinds[field.name], f"{node.__name__}.{field.name}") for field in attributes}
    _OPERATIONS[node.__name__] = Operation(node, attributes, codecs)
    return node


def operation_of(node: Node) -> Operation:
    """The `Operation` of a node.

    Raises:
        GraphError: its class is not registered.
    """
    known = _OPERATIONS.get(type(node).__name__)
    if known is None or known.node is not type(node):
        raise GraphError(f"{node.name!r}: operation {type(node).__name__} is not registered: see tfq.graph.register_operation")
    return known


def registered() -> dict[str, Operation]:
    """All operations that files may hold, by their names there."""
    return dict(_OPERATIONS)
