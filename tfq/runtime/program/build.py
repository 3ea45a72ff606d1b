"""Builds the program of a network: its steps in order, and the arrays that they point into."""

from dataclasses import replace

import numpy as np

from tfq.graph import nodes as g
from tfq.runtime.lanes import LANES
from tfq.runtime.plan.paths import is_product
from tfq.runtime.plan.planner import plan
from tfq.runtime.program.builder import Builder
from tfq.runtime.program.memory import place
from tfq.runtime.program.operations import add_operation
from tfq.runtime.program.packed import pack_tensor
from tfq.runtime.program.products import add_product
from tfq.runtime.program.program import Program
from tfq.runtime.program.steps import NOWHERE, NUMBERS, At, Pack, Tile

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
    return _placed(builder, graph.pixel_mean is not None)


def _placed(builder, takes_pixels):
    output = builder.plan.nodes[-1].name
    source, target = builder.tensor(g.INPUT).buffer, builder.tensor(output).buffer
    steps = builder.steps
    stays = not takes_pixels and source != target and all(_reads_in_place(step, source) for step in steps)
    if stays:
        steps = [replace(step, source=NOWHERE) if _uses(step, source) else step for step in steps]
    goes = source != target and _writes_in_place(steps, target)
    if goes:
        steps = [*steps[:-1], replace(steps[-1], target=NOWHERE)]
    places, size = place(steps, None if stays else source, None if goes else target)
    rows = np.zeros((len(steps), NUMBERS), np.int64)
    for row, step in zip(rows, steps, strict=True):
        numbers = step.numbers(places)
        row[: len(numbers)] = numbers
    return Program(
        rows=rows,
        labels=tuple(builder.labels),
        paths=tuple(builder.paths),
        constants=builder.constants.array(),
        memory=size,
        source=NOWHERE if stays else places[source.name],
        target=NOWHERE if goes else places[target.name],
    )


def _reads_in_place(step, source):
    """Whether a step can do with the input where the caller has it, which ends with its last number, or does not use it."""
    return not _uses(step, source) or (isinstance(step, Pack) and step.channels % LANES == 0)


def _writes_in_place(steps, target):
    """Whether the last step, and nothing else, makes the output, and may write it to memory of the caller, all of it at once."""
    users = [step for step in steps if _uses(step, target)]
    return users == steps[-1:] and users[0].writes_exactly() and users[0].target == At(target)


def _uses(step, buffer):
    return any(used.name == buffer.name for used, _ in step.uses())
