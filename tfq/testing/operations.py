"""The contract of the operations of a graph."""

import dataclasses
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfq.graph import file, reference
from tfq.graph import nodes as g
from tfq.graph.check import GraphError
from tfq.graph.operations import operation_of
from tfq.testing.errors import ContractError

_IMAGES = 3
# What float32 sums of another order may be off, against the largest value.
CLOSE = 5e-6

Run = Callable[[g.Graph, np.ndarray], np.ndarray]


def check_operation(node: g.Node, *shapes: tuple, run: Run | None = None, seed: int = 0) -> None:
    """Raise unless an operation keeps the contract of `tfq.graph.Node`.

    It is registered; its `infer` gives the shape of what its `compute` gives, also of images a little larger, and refuses what
    `compute` cannot take: other numbers of inputs, of channels, of axes; `compute` gives float64, treats each image of a batch by
    itself and leaves its inputs as they are; a file gives it back as it was; and an engine computes the same as `compute`, to
    float32 rounding.

    Args:
        node: the operation, with all its attributes; its inputs may have any names.
        *shapes: of its inputs, without the batch axis; small ones.
        run: the engine, a function of a graph and images to results; None leaves it out. For `tfq.runtime` this is
            `lambda graph, images: tfq.runtime.Engine(graph).predict(images)`.
        seed: of the values.

    Raises:
        ContractError: what it does not keep, and how.
    """
    _expect_registered(node)
    values = np.random.default_rng(seed).normal(size=(_IMAGES, sum(map(math.prod, shapes)))).astype(np.float32)
    graph = _around(node, shapes)
    images = values.reshape(_IMAGES, *graph.input_shape)
    node = graph.nodes[-1]
    _expect_inference(node, shapes)
    tensors = _inputs(graph, images)
    results = _expect_results(node, [tensors[name] for name in node.inputs], graph.output_shape)
    _expect_inference_of_others(node, shapes)
    with tempfile.TemporaryDirectory() as directory:
        again = _through_a_file(graph, Path(directory) / "operation.tfq")
    _expect_same_attributes(node, again.nodes[-1])
    _expect_close(node, "a file changes what it computes", reference.run(again, images), results, 0)
    if run is not None:
        _expect_close(node, "the engine computes something else", np.asarray(run(graph, images)), results, CLOSE)


def _fail(node, text):
    raise ContractError(f"operation {type(node).__name__} ({node.name!r}): {text}")


def _expect_registered(node):
    try:
        operation_of(node)
    except GraphError as error:
        raise ContractError(str(error)) from error


def _around(node, shapes):
    """A graph that ends in the operation. Several inputs are parts of one, which matrices of 0 and 1 take from it."""
    if len(shapes) == 1:
        return _graph(node, shapes[0], [], (g.INPUT,))
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    nodes: list[g.Node] = []
    identity = np.eye(ends[-1], dtype=np.float32)
    for index, (shape, end) in enumerate(zip(shapes, ends, strict=True)):
        part = np.ascontiguousarray(identity[:, end - math.prod(shape) : end])
        nodes.append(g.Dense(f"part{index}", (g.INPUT,), g.FloatKernel(part)))
        nodes.append(g.Reshape(f"input{index}", (f"part{index}",), tuple(shape)))
    return _graph(node, (int(ends[-1]),), nodes, tuple(f"input{index}" for index in range(len(shapes))))


def _graph(node, input_shape, before, inputs):
    try:
        return g.Graph(tuple(input_shape), (*before, dataclasses.replace(node, inputs=inputs)))
    except GraphError as error:
        raise ContractError(f"operation {type(node).__name__} ({node.name!r}) does not take its inputs: {error}") from error


def _expect_inference(node, shapes):
    for wrong in ([], [*map(tuple, shapes), (3, 1, 4, 1)]):
        try:
            found = node.infer(wrong)
        except GraphError:
            continue
        except Exception as error:
            _fail(node, f"`infer` of {len(wrong)} shapes must raise GraphError; got {type(error).__name__}: {error}")
        _fail(node, f"`infer` of {len(wrong)} shapes, {wrong}, must raise GraphError; it gives {found}")


def _expect_inference_of_others(node, shapes):
    """`compute` gives the shape that `infer` says of other inputs too, unless `infer` refuses them."""
    rng = np.random.default_rng(0)
    for others in _others(shapes):
        try:
            found = tuple(node.infer(list(others)))
        except GraphError:
            continue
        except Exception as error:
            _fail(node, f"`infer` of {_shown(others)} must give a shape or raise GraphError; got {type(error).__name__}: {error}")
        inputs = [rng.normal(size=(_IMAGES, *shape)) for shape in others]
        try:
            made = node.compute(*inputs).shape[1:]
        except Exception as error:
            text = f"of inputs {_shown(others)} `infer` gives {found}, and `compute` fails: {type(error).__name__}: {error}"
            _fail(node, f"{text}; raise GraphError in `infer`")
        if made != found:
            _fail(node, f"of inputs {_shown(others)} `infer` gives {found}, and `compute` gives {made}")


def _others(shapes):
    """Inputs of other sizes, of another number of channels, and of another number of axes."""
    shapes = [tuple(shape) for shape in shapes]
    if all(len(shape) == 3 for shape in shapes):
        for rows, columns in ((1, 0), (0, 1), (1, 1)):
            yield [(height + rows, width + columns, channels) for height, width, channels in shapes]
    for extra in (1, -1):
        yield [(*shape[:-1], max(shape[-1] + extra, 1)) for shape in shapes]
    yield [shape[-1:] if len(shape) == 3 else (2, 3, *shape) for shape in shapes]


def _shown(shapes):
    return ", ".join(map(str, shapes))


def _expect_results(node, inputs, shape):
    before = [x.copy() for x in inputs]
    try:
        results = node.compute(*inputs)
    except Exception as error:
        _fail(node, f"`compute` of inputs {_shown(x.shape[1:] for x in inputs)} fails: {type(error).__name__}: {error}")
    if not all(np.array_equal(x, copy) for x, copy in zip(inputs, before, strict=True)):
        _fail(node, "`compute` must leave its inputs as they are; it changes them")
    if results.shape[1:] != shape:
        _fail(node, f"`infer` gives {shape}, and `compute` gives {results.shape[1:]}")
    if results.dtype != np.float64:
        _fail(node, f"`compute` must give float64; it gives {results.dtype}")
    if not np.isfinite(results).all():
        _fail(node, "`compute` gives values that are not finite")
    for index in range(_IMAGES):
        alone = node.compute(*(x[index : index + 1] for x in inputs))
        _expect_close(node, "an image by itself gives something else than in a batch", alone, results[index : index + 1], 1e-12)
    return results


def _inputs(graph, images):
    """The images, and the results of all operations but the last."""
    return {g.INPUT: images.astype(np.float64)} | (
        reference.tensors(g.Graph(graph.input_shape, graph.nodes[:-1]), images) if graph.nodes[:-1] else {}
    )


def _through_a_file(graph, path):
    try:
        file.write(graph, path)
        return file.read(path)
    except file.FileError as error:
        return _fail(graph.nodes[-1], f"a file does not hold it: {error}")


def _expect_same_attributes(node, again):
    if type(again) is not type(node):
        _fail(node, f"a file gives it back as {type(again).__name__}")
    for field in dataclasses.fields(node):
        value, other = getattr(node, field.name), getattr(again, field.name)
        if not _is_same(value, other):
            _fail(node, f"a file gives {field.name}={other!r} back; it was {value!r}")


def _is_same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape) and np.array_equal(a, b)
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(
            _is_same(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(a)
        )
    return type(a) is type(b) and a == b


def _expect_close(node, what, found, expected, tolerance):
    if found.shape != expected.shape:
        _fail(node, f"{what}: shape {found.shape} instead of {expected.shape}")
    off = np.abs(found - expected).max(initial=0.0)
    if not off <= tolerance * max(1.0, np.abs(expected).max(initial=0.0)):
        _fail(node, f"{what}: off by {off:.3g}")
