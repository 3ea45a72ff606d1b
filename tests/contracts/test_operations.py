"""Every operation of a graph keeps its contract, one from outside too; a wrong one is found."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import pytest
from runtime_oracle import pack, random_values

import tfq.runtime
from tfq.graph import Node, check, file, operations, reference, register_operation
from tfq.graph import nodes as g
from tfq.graph.fields import Range, Sizes
from tfq.testing import ContractError, check_operation

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

RNG = np.random.default_rng(0)
X, IMAGE, SEQUENCE = (g.INPUT,), (5, 6, 4), (9, 4)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def kernel(coding, bits, *shape):
    return pack(random_values(RNG, shape, coding, bits), coding, bits, RNG.uniform(0.1, 1, shape[-1]))


OPERATIONS = {
    "float convolution": (g.Conv2D("x", X, g.FloatKernel(floats(3, 2, 4, 5)), floats(5), (2, 1)), IMAGE),
    "dilated": (g.Conv2D("x", X, kernel("ternary", 2, 2, 2, 4, 3), dilations=(2, 3), padding="valid"), IMAGE),
    "groups": (g.Conv2D("x", X, kernel("levels", 3, 3, 3, 2, 6), groups=2, quantizer=g.Levels(2)), IMAGE),
    "K": (g.Conv2D("x", X, kernel("binary", 1, 3, 3, 4, 5), floats(5), quantizer=g.Sign(), pad_value=-1, kmap=True), IMAGE),
    "integers": (g.Conv2D("x", X, kernel("integer", 8, 3, 3, 4, 5), quantizer=g.Levels(8)), IMAGE),
    "sequence": (g.Conv1D("x", X, kernel("ternary", 2, 3, 4, 5), floats(5), (2,), quantizer=g.Sign(), pad_value=-1), SEQUENCE),
    "causal": (g.Conv1D("x", X, kernel("levels", 2, 3, 2, 6), None, (1,), (2,), "causal", 2, g.Levels(2)), SEQUENCE),
    "transposed": (g.Conv2DTranspose("x", X, kernel("binary", 1, 3, 2, 4, 5), floats(5), (2, 3), quantizer=g.Sign()), IMAGE),
    "transposed valid": (
        g.Conv2DTranspose("x", X, g.FloatKernel(floats(2, 3, 4, 5)), None, (3, 1), (1, 2), "valid", (1, 0)),
        IMAGE,
    ),
    "transposed sequence": (
        g.Conv1DTranspose("x", X, kernel("levels", 2, 4, 4, 5), floats(5), (3,), quantizer=g.Levels(2)),
        SEQUENCE,
    ),
    "dense": (g.Dense("x", X, kernel("levels", 2, 7, 3), floats(3), g.Sign()), (7,)),
    "dense of pixels": (g.Dense("x", X, g.FloatKernel(floats(4, 3))), IMAGE),
    "scale and shift": (g.ScaleShift("x", X, floats(4), floats(4)), IMAGE),
    "ReLU": (g.ReLU("x", X), IMAGE),
    "ReLU6": (g.ReLU("x", X, 6.0), (9,)),
    "hard tanh": (g.HardTanh("x", X), IMAGE),
    "signs": (g.Quantize("x", X, g.Sign()), IMAGE),
    "levels": (g.Quantize("x", X, g.Levels(3)), (9,)),
    "zeros": (g.ZeroPad("x", X, (1, 0, 2, 3)), IMAGE),
    "max pool": (g.MaxPool("x", X, (3, 2), (2, 1), "same"), IMAGE),
    "average pool": (g.AveragePool("x", X, (3, 2), (1, 2), "same"), IMAGE),
    "zeros around a sequence": (g.ZeroPad("x", X, (1, 2)), SEQUENCE),
    "max pool of a sequence": (g.MaxPool("x", X, (3,), (2,), "same"), SEQUENCE),
    "average pool of a sequence": (g.AveragePool("x", X, (2,), (2,)), SEQUENCE),
    "global average of a sequence": (g.GlobalAveragePool("x", X, keepdims=True), SEQUENCE),
    "dense of a sequence": (g.Dense("x", X, g.FloatKernel(floats(4, 3))), SEQUENCE),
    "joined sequences": (g.Concatenate("x", X), SEQUENCE, (9, 2)),
    "a sequence of pixels": (g.Reshape("x", X, (30, 4)), IMAGE),
    "global max": (g.GlobalMaxPool("x", X, keepdims=True), IMAGE),
    "global average": (g.GlobalAveragePool("x", X), IMAGE),
    "sum": (g.Add("x", X), IMAGE, IMAGE, IMAGE),
    "joined": (g.Concatenate("x", X), (2, 3, 4), (2, 3, 1)),
    "reshaped": (g.Reshape("x", X, (2, 15, 4)), IMAGE),
}


def runtime(graph, images):
    return tfq.runtime.Engine(graph).predict(images)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_its_contract(name):
    pytest.importorskip("numba", reason="needs tfq[runtime]")
    node, *shapes = OPERATIONS[name]
    check_operation(node, *shapes, run=runtime)


def test_every_operation_is_here():
    assert {type(node) for node, *_ in OPERATIONS.values()} == set(g.BUILT_IN)


# --- operations from outside


@pytest.fixture
def table(monkeypatch):
    """The table of operations, which is as before when the test ends."""
    monkeypatch.setattr(operations, "_OPERATIONS", dict(operations._OPERATIONS))


@dataclass(frozen=True)
class Weighted(Node):
    """sign * (weight . x)^power, shifted in rows: an operation with an attribute of each kind."""

    weight: np.ndarray
    power: Annotated[int, Range(1, 4)] = 1
    sign: Literal[1, -1] = 1
    scale: float = 1.0
    note: str = "none"
    crop: Annotated[tuple, Sizes(2, low=0)] = (0, 0)
    quantizer: g.Quantizer | None = None

    def infer(self, shapes):
        height, width, channels = check.image(self, shapes)
        if len(self.weight) != channels:
            raise check.GraphError(f"{self.name!r} has {len(self.weight)} weights for {channels} channels")
        return height - self.crop[0], width - self.crop[1], 1

    def compute(self, x):
        x = x[:, self.crop[0] :, self.crop[1] :]
        return self.sign * self.scale * (x @ self.weight.astype(np.float64))[..., None] ** self.power


def weighted(cls=Weighted, **options):
    return cls("mine", X, floats(4), **options)


def test_an_operation_from_outside_keeps_the_contract(table):
    assert register_operation(Weighted) is Weighted
    register_operation(Weighted)  # once more, as when its module is imported again
    check_operation(weighted(), IMAGE)
    options = {"power": 2, "sign": -1, "scale": -0.25, "note": "dög", "crop": (1, 0), "quantizer": g.Levels(2)}
    check_operation(weighted(**options), IMAGE)


def test_the_runtime_computes_an_operation_from_outside_in_numpy(table, tmp_path):
    register_operation(Weighted)
    mine = replace(weighted(power=3), inputs=("relu",))
    graph = g.Graph(IMAGE, (g.ReLU("relu", X), mine, g.Dense("head", ("mine",), g.FloatKernel(floats(1, 2)))))
    file.write(graph, tmp_path / "model.tfq")
    with pytest.warns(UserWarning, match=r"computed in NumPy, slowly: the runtime has no steps for 'mine' \(Weighted\)"):
        engine = tfq.runtime.load(tmp_path / "model.tfq", threads=2)
    images = floats(40, *IMAGE)
    results = engine.predict(images)
    assert results.dtype == np.float32
    np.testing.assert_allclose(results, reference.run(graph, images), rtol=1e-6)
    assert engine.layers() == [("head", "NumPy")]
    assert [(name, path) for name, path, _ in engine.profile(images, 1)] == [(node.name, "NumPy") for node in graph.nodes]
    with pytest.raises(ValueError, match=r"expected images of shape \(n, 5, 6, 4\); got \(2, 5, 6, 3\)"):
        engine.predict(images[:2, ..., :3])


def test_a_file_is_refused_where_its_operation_is_not_registered(table, tmp_path):
    register_operation(Weighted)
    file.write(g.Graph(IMAGE, (weighted(),)), tmp_path / "model.tfq")
    del operations._OPERATIONS["Weighted"]
    with pytest.raises(file.FileError, match=r"operation 'Weighted' is unknown; known are .*see tfq.graph.register"):
        file.read(tmp_path / "model.tfq")


def test_an_operation_that_is_not_registered_is_in_no_file(table):
    with pytest.raises(ContractError, match=r"'mine': operation Weighted is not registered: see tfq.graph.register_operation"):
        check_operation(weighted(), IMAGE)


WRONG = {
    "another shape": (
        {"infer": lambda self, shapes: check.image(self, shapes)},
        r"`infer` gives \(5, 6, 4\), and .* \(5, 6, 1\)",
    ),
    "any inputs": ({"infer": lambda self, shapes: (5, 6, 1)}, r"`infer` of 0 shapes, \[\], must raise GraphError; it gives"),
    "no refusal": ({"infer": lambda self, shapes: (*shapes[0][:2], 1)}, "must raise GraphError; got IndexError"),
    "the batch": ({"compute": lambda self, x: x[..., :1] - x.mean()}, "an image by itself gives something else than in a batch"),
    "not finite": ({"compute": lambda self, x: x[..., :1] / 0}, "values that are not finite"),
    "in place": ({"compute": lambda self, x: np.negative(x, out=x)[..., :1]}, "must leave its inputs as they are"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_wrong_operation_is_found(name, table):
    methods, message = WRONG[name]
    wrong = register_operation(dataclass(frozen=True)(type("Wrong", (Weighted,), dict(methods))))
    with pytest.raises(ContractError, match=rf"operation Wrong \('mine'\): .*{message}"):
        check_operation(weighted(wrong), IMAGE)


def test_a_file_that_changes_an_attribute_and_an_engine_that_errs_are_found(table):
    register_operation(Weighted)
    with pytest.raises(ContractError, match=r"a file gives crop=\(1, 0\) back; it was \[1, 0\]"):
        check_operation(weighted(crop=[1, 0]), IMAGE)
    with pytest.raises(ContractError, match=r"a file does not hold it: .*'power' of 'mine': expected an integer from 1 to 4"):
        check_operation(weighted(power=9), IMAGE)
    with pytest.raises(ContractError, match="the engine computes something else: off by"):
        check_operation(*OPERATIONS["ReLU"], run=lambda graph, images: np.abs(images))


@dataclass(frozen=True)
class Anything(Node):
    """Its attribute is of a type that a file does not hold."""

    what: dict | None = None

    def infer(self, shapes):
        return shapes[0]

    def compute(self, x):
        return x


@dataclass(frozen=True)
class Silent(Node):
    """Without methods."""


@pytest.mark.parametrize(
    ("cls", "error", "message"),
    [
        (Anything, TypeError, "Anything.what is annotated with .*dict.*, of which a file holds no values"),
        (Silent, TypeError, "operation Silent needs a method `infer`"),
        (type("Bare", (Weighted,), {}), TypeError, "operation Bare must be decorated"),
        (dict, TypeError, "a dataclass that subclasses tfq.graph.Node; got <class 'dict'>"),
        (dataclass(frozen=True)(type("ReLU", (Weighted,), {})), ValueError, "ReLU is registered already, of tfq.graph.nodes"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_operation_is_not_registered(cls, error, message, table):
    with pytest.raises(error, match=message):
        register_operation(cls)
