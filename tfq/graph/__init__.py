"""The packed graph: its nodes, checks and file. NumPy alone.

An operation of one's own is a subclass of `Node` that `register_operation` makes known to files; see `tfq.graph.operations`.
"""

from tfq.graph.check import GraphError
from tfq.graph.operations import Node, register_operation

__all__ = ["GraphError", "Node", "register_operation"]
