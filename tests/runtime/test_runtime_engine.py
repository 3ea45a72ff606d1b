"""What an engine takes, gives and loads."""

import numpy as np
import pytest
import runtime_oracle as oracle
from runtime_networks import normal, one, run_python, same, small_network

from tfq.graph import nodes as g
from tfq.runtime.engine import Engine
from tfq.runtime.program import steps

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]


def test_pixels_are_scaled_in_float32():
    rng = np.random.default_rng(0)
    graph = small_network(rng)
    pixels = rng.integers(0, 256, (35, *graph.input_shape), np.uint8)
    images = (pixels.astype(np.float32) / np.float32(255) - graph.pixel_mean.astype(np.float32)) / graph.pixel_std.astype(
        np.float32
    )
    engine = Engine(graph, threads=2)
    np.testing.assert_array_equal(engine.predict(pixels), engine.predict(images))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((12, 11, 3), np.float32), r"expected images of shape \(n, 12, 11, 3\); got \(12, 11, 3\)"),
        (np.zeros((2, 12, 11, 4), np.float32), r"expected images of shape \(n, 12, 11, 3\); got \(2, 12, 11, 4\)"),
        (np.zeros((2, 12, 11, 3)), "expected uint8 or float32 images; got float64"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        Engine(small_network(np.random.default_rng(0))).predict(images)


def test_pixels_are_refused_without_mean_and_deviation():
    graph = one(g.ReLU("relu", ("input",)), (4,))
    with pytest.raises(ValueError, match="holds no mean and deviation for uint8 pixels; got uint8"):
        Engine(graph).predict(np.zeros((1, 4), np.uint8))


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_are_a_positive_integer(threads):
    with pytest.raises(ValueError, match=f"threads must be a positive integer; got threads={threads}"):
        Engine(one(g.ReLU("relu", ("input",)), (4,)), threads)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (g.ReLU("relu", ("nothing",)), "'relu' takes 'nothing', which does not come before it"),
        (g.Dense("dense", ("input",), g.FloatKernel(np.ones((4, 2), np.float32))), r"'dense': a kernel \(4, 2\) does not fit"),
        (g.MaxPool("pool", ("input",), (6, 6)), r"'pool' moves a window of \(6, 6\) over \(5, 5\), which is smaller"),
        (g.Reshape("flat", ("input",), (74,)), r"'flat' reshapes \(5, 5, 3\) to \(74,\), which holds another number"),
    ],
)
def test_operations_that_do_not_fit_together_are_refused(node, message):
    with pytest.raises(ValueError, match=message):
        Engine(one(node, (5, 5, 3)))


@pytest.mark.parametrize(("channels", "in_place"), [(16, True), (48, True), (64, True), (20, False)])
@pytest.mark.parametrize("quantizer", [g.Sign(), g.Levels(2), g.Levels(8)])
def test_images_are_packed_where_they_lie(channels, in_place, quantizer):
    rng = np.random.default_rng(channels)
    kernel = oracle.pack(oracle.random_values(rng, (3, 3, channels, 17), "binary"), "binary")
    graph = one(g.Conv2D("conv", ("input",), kernel, quantizer=quantizer), (5, 6, channels))
    images = normal(rng, 4, *graph.input_shape)
    same(graph, images)
    engine = Engine(graph)
    # The last vector of other channels would read past the end of the images.
    assert (engine._program.source == steps.NOWHERE) == in_place
    assert {path for _, path, _ in engine.profile(images, repeats=1)} > {"pack"}


def test_a_profile_of_nothing_is_refused():
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (1, 1, 16, 16), "binary"), "binary")
    engine = Engine(one(g.Conv2D("conv", ("input",), kernel, quantizer=g.Sign()), (3, 4, 16)))
    images = normal(rng, 1, 3, 4, 16)
    for nothing, repeats in ((images[:0], 1), (images, 0)):
        with pytest.raises(ValueError, match=rf"an image and a round at least; got {len(nothing)} images, repeats={repeats}"):
            engine.profile(nothing, repeats)


def test_an_input_that_others_read_too_is_copied():
    rng = np.random.default_rng(0)
    kernel = oracle.pack(oracle.random_values(rng, (1, 1, 16, 16), "binary"), "binary")
    nodes = (g.Conv2D("conv", ("input",), kernel, quantizer=g.Sign()), g.Add("sum", ("input", "conv")))
    graph = g.Graph((3, 4, 16), nodes)
    same(graph, normal(rng, 3, *graph.input_shape))
    assert Engine(graph)._program.source != steps.NOWHERE


def test_images_that_may_not_be_written_or_lie_otherwise():
    engine = Engine(small_network(np.random.default_rng(0)))
    images = np.ones((3, 12, 11, 3), np.float32)
    wanted = engine.predict(images)
    images.flags.writeable = False
    np.testing.assert_array_equal(engine.predict(images), wanted)
    np.testing.assert_array_equal(engine.predict(images[::-1, :, ::-1])[::-1], engine.predict(images[:, :, ::-1].copy()))


def test_an_empty_batch():
    graph = small_network(np.random.default_rng(0))
    assert Engine(graph, 2).predict(np.zeros((0, 12, 11, 3), np.float32)).shape == (0, 10)


def test_the_runtime_loads_no_framework():
    program = """
import sys, numpy as np
import tfq.runtime
from tfq.graph import nodes as g
assert "numba" not in sys.modules
engine = tfq.runtime.Engine(g.Graph((2,), (g.ReLU("relu", ("input",)),)))
assert engine.predict(np.array([[1, -1]], np.float32)).tolist() == [[1, 0]]
print(sorted({"keras", "tensorflow", "jax", "torch", "tf_keras"} & {name.split(".")[0] for name in sys.modules}))
"""
    assert run_python(program).strip() == "[]"


@pytest.mark.parametrize("package", ["llvmlite", "numba"])
def test_a_missing_numba_is_an_error_that_names_the_extra(package, tmp_path):
    # What was compiled before needs llvmlite alone, which comes with numba.
    program = f"""
import sys
sys.modules["{package}"] = None
import tfq.runtime
from tfq.graph import nodes as g
try:
    tfq.runtime.Engine(g.Graph((2,), (g.ReLU("relu", ("input",)),)))
except ImportError as error:
    print(error)
"""
    assert (
        run_python(program, NUMBA_CACHE_DIR=str(tmp_path)).strip()
        == "this needs `numba`, which is not installed: pip install 'tfq[runtime]'"
    )
