"""Programs: planned and written without compiled code, and never larger than any network should be."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import borders, run_python

from tfq import runtime
from tfq.graph import check, file, shapes
from tfq.graph import nodes as g
from tfq.runtime.program import steps
from tfq.runtime.program.accumulator import accumulator
from tfq.runtime.program.build import build
from tfq.runtime.program.geometry import Geometry
from tfq.runtime.program.memory import place
from tfq.runtime.program.operations import add_operation

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def test_an_operation_without_a_step_is_refused():
    builder = SimpleNamespace(plan=SimpleNamespace(shapes={"x": (4, 4, 2)}))
    with pytest.raises(TypeError, match="mine: SimpleNamespace is an operation that no step computes"):
        add_operation(builder, SimpleNamespace(name="mine", inputs=("x",)))


def test_kinds_of_windows_are_counted_before_they_are_made():
    build(borders(1, 20_000))
    graph = borders(1, 20_000)
    with pytest.raises(check.GraphError, match="'conv' has 4200 x 4200 kinds of windows at its borders, for 1 filters: more"):
        accumulator(graph.nodes[0], huge(4200), 0)


def huge(size):
    """Its windows alone count."""
    window = shapes.window(size, size, 1)
    return Geometry((window, window), (size, size), (1, 1), (1, 1), size, 1, (size, size, 1))


def dilated(name, dilations):
    kernel_shape = tuple(1 + (dilation > 1) for dilation in dilations)
    kernel = oracle.pack(oracle.random_values(np.random.default_rng(0), (*kernel_shape, 1, 1), "binary"), "binary")
    return g.Conv2D(name, ("input",), kernel, dilations=dilations, quantizer=g.Sign())


def test_margins_that_are_too_large_together_are_refused(tmp_path):
    nodes = (dilated("a", (2**27, 1)), dilated("b", (1, 2**27)), g.Add("sum", ("a", "b")))
    file.write(g.Graph((1, 1, 1), nodes), tmp_path / "model.tfq")
    with pytest.raises(file.FileError, match=r"model\.tfq cannot be run: 'b' and others pad \(1, 1, 1\) to "):
        runtime.load(tmp_path / "model.tfq")


def test_a_network_of_too_many_large_tensors_is_refused():
    names = [f"relu{index}" for index in range(20)]
    nodes = [g.ReLU(name, ("input",), max_value=float(1 + index)) for index, name in enumerate(names)]
    pooled = [g.GlobalMaxPool(f"pool{name}", (name,)) for name in names]
    graph = g.Graph((2**13, 2**13, 2), (*nodes, *pooled, g.Concatenate("all", tuple(node.name for node in pooled))))
    with pytest.raises(check.GraphError, match=r"an image needs \d+ GiB of memory; allowed are 4"):
        build(graph)


def test_a_program_is_planned_and_written_without_numba():
    program = """
import sys
sys.modules["numba"] = sys.modules["llvmlite"] = None
import numpy as np
import runtime_networks as networks
from tfq.runtime.program.build import build
from tfq.runtime.program.steps import Convolve, Tile
for how in (*networks.METHODS, (networks.SIGN, "binary", 1, -1, True)):
    graph = networks.small_network(np.random.default_rng(1), *how)
    for tile in (Tile(4, 1), Tile(8, 2)):
        program = build(graph, 2, tile)
        convolutions = program.steps(Convolve)
        assert program.work > 0 and set(convolutions["strip_vectors"]) == {tile.vectors}
        assert max(convolutions["positions"]) == tile.positions
print(len(program.steps(Convolve)))
"""
    assert run_python(program).strip() == "6"


@pytest.mark.parametrize("kind", steps.STEPS)
def test_a_step_is_written_as_it_is_read(kind):
    names = [field.name for field in dataclasses.fields(kind)]
    buffer = steps.Buffer("buffer", 100)
    values = {name: steps.At(buffer, index) if index % 2 else index for index, name in enumerate(names)}
    numbers = kind(**values).numbers({"buffer": 1000})
    record = np.array(numbers, np.int64).view(kind.dtype())[0]
    assert record["code"] == steps.code(kind)
    assert [record[name] for name in names] == [1000 + index if index % 2 else index for index in range(len(names))]


def test_a_buffer_lives_from_the_first_step_that_uses_it_to_the_last():
    def add(a, b, target):
        return steps.AddTensors(a=steps.At(a), b=steps.At(b), target=steps.At(target), size=16)

    first, second, third, last = (steps.Buffer(name, 16) for name in ("first", "second", "third", "last"))
    places, size = place([add(first, first, second), add(second, second, third), add(third, third, last)], first, last)
    # Two at a time, each with room for a vector that begins at its last element.
    assert size == 2 * 32
    assert places["first"] == places["third"] != places["second"] == places["last"]
    places, size = place([add(first, first, second), add(second, second, third), add(third, first, last)], first, last)
    assert size == 3 * 32


def sum_in_place(residual, target, offset=0):
    numbers = dict.fromkeys((field.name for field in dataclasses.fields(steps.Convolve)), 1)
    return steps.Convolve(**{**numbers, "residual": steps.At(residual, offset), "target": steps.At(target)})


def test_a_sum_takes_the_place_of_a_summand_that_nobody_reads_again():
    names = ("source", "first", "second", "third", "last")
    source, first, second, third, last = (steps.Buffer(name, 16) for name in names)
    sums = [sum_in_place(source, first), sum_in_place(first, second), sum_in_place(second, third)]
    places, size = place([*sums, sum_in_place(third, last)], source, last)
    assert len({places[name] for name in names}) == 1
    assert size == 32
    # Here the first is read once more, and the second begins elsewhere.
    places, _ = place([*sums, sum_in_place(first, last)], source, last)
    assert places["source"] == places["first"] != places["second"] == places["third"] != places["last"]
    places, _ = place([sum_in_place(first, second, offset=1)], first, second)
    assert places["first"] != places["second"]


def test_what_a_step_reads_past_the_end_of_a_buffer_is_memory_too():
    numbers = dict.fromkeys((field.name for field in dataclasses.fields(steps.PackWindows)), 1)
    source, target = steps.Buffer("source", 100), steps.Buffer("target", 16)
    step = steps.PackWindows(**{**numbers, "step_x": 3, "source": steps.At(source), "target": steps.At(target)})
    assert dict(step.uses()) == {source: 100 + 16 * 3, target: 16}
