"""Builds the program of a network: its steps in order, and the arrays that they point into."""

import numpy as np

from tfq.graph import nodes as g
from tfq.runtime.plan.paths import is_product
from tfq.runtime.plan.planner import plan
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.memory import place
from tfq.runtime.program.operations import add_operation
from tfq.runtime.program.packed import pack_tensor
from tfq.runtime.program.products import add_product
from tfq.runtime.program.program import Program
from tfq.runtime.program.steps import NUMBERS, Tile

# Fits the registers of any processor with vectors.
SMALL_TILE = Tile(4, 1)


def build(graph: g.Graph, threads: int = 1, tile: Tile = SMALL_TILE) -> Program:
    """The `Program` of a graph.

    Args:
        graph: the network.
        threads: threads that may work on one image.
        tile: the largest whose sums fit the registers of the processor; `compiled.tile.largest_tile` knows it.

    Raises:
        GraphError: the operations do not fit together, or need more memory than any network should.
        TypeError: an operation has no step.
    """
    builder = Builder(plan(graph), threads, tile)
    pack_tensor(builder, g.INPUT)
    for node in builder.plan.nodes:
        if node.name in builder.plan.inside:
            continue
        if is_product(node):
            add_product(builder, builder.plan.fused[node.name])
        elif node.name in builder.plan.needed:
            add_operation(builder, node)
            pack_tensor(builder, node.name)
    return _placed(builder)


def _placed(builder):
    output = builder.plan.nodes[-1].name
    source, target = builder.tensor(g.INPUT).buffer, builder.tensor(output).buffer
    places, size = place(builder.steps, source, target)
    rows = np.zeros((len(builder.steps), NUMBERS), np.int64)
    for row, step in zip(rows, builder.steps, strict=True):
        numbers = step.numbers(places)
        row[: len(numbers)] = numbers
    return Program(
        rows=rows,
        labels=tuple(builder.labels),
        paths=tuple(builder.paths),
        constants=builder.constants.array(),
        memory=size,
        source=places[source.name],
        target=places[target.name],
    )
