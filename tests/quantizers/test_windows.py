"""The window of a straight-through estimator as a training step computes it: what passes at its ends, of any gradient."""

import numpy as np
import pytest
from conftest import array, compiled, tensor

from tfq.backend.devices import accelerators
from tfq.backend.windows import pass_inside

WINDOWS = [(-1, 1), (0, 1), (-0.1, 0.1), (0, 0.3), (-1, 2), (0.5, 1), (-3e38, 3e38)]


def around(low, high):
    """Values on both sides of both ends, and the ends."""
    ends = np.float32([low, high])
    tiny = np.finfo("float32").tiny  # no smaller one: TensorFlow and XLA flush them
    beyond = [np.where(ends == 0, side * tiny, np.nextafter(ends, np.float32(side * np.inf))) for side in (-1, 1)]
    return np.concatenate([ends, *beyond, np.float32([0.0, -0.0, 0.25, -7, 7, -np.inf, np.inf, np.nan])])


@pytest.mark.parametrize("rest", [[1.0, -2.0], [np.inf, -1.0], [np.nan, 3e38], [3e38, 3e38]], ids=str)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_what_passes(window, rest):
    low, high = np.float32(window)
    x = around(low, high)
    upstream = np.resize(np.float32([-0.5, 3, *rest]), x.shape)
    expected = np.where((x >= low) & (x <= high), upstream, 0)
    for function in (pass_inside, compiled(lambda u, v: pass_inside(u, v, *window))):
        arguments = window if function is pass_inside else ()
        np.testing.assert_array_equal(array(function(tensor(upstream), tensor(x), *arguments)), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_its_dtype(dtype):
    passed = compiled(lambda u, v: pass_inside(u, v, -1, 1))(tensor([2.0, 3, 4], dtype), tensor([-1.0, 1.5, 0.5], dtype))
    assert dtype in str(passed.dtype)
    np.testing.assert_array_equal(array(passed).astype("float32"), [2, 0, 4])


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_one_pass_where_the_op_has_the_window(window):
    import tensorflow as tf

    operands = [tf.TensorSpec([None, 3], "float32")] * 2
    graph = tf.function(lambda u, x: pass_inside(u, x, *window)).get_concrete_function(*operands).graph.as_graph_def()
    ops = {node.op for function in graph.library.function for node in function.node_def}
    has_window = window[0] in (0, -window[1]) and window[1] < 1e38
    assert ("FakeQuantWithMinMaxArgsGradient" in ops) == (has_window and not accelerators())


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("upstream", [2.0, np.inf])
def test_a_gradient_of_the_gradient_passes_the_window_too(upstream):
    import tensorflow as tf

    @tf.function
    def twice(upstream, x, by_gradient):
        with tf.GradientTape() as tape:
            tape.watch(upstream)
            passed = pass_inside(upstream, x, -1, 1)
        return tape.gradient(passed, upstream, output_gradients=by_gradient)

    x, by_gradient = np.float32([-2, -1, 0, 1, 1.5]), np.float32([1, 2, 3, 4, 5])
    np.testing.assert_array_equal(array(twice(tensor(np.full(5, upstream)), tensor(x), tensor(by_gradient))), [0, 2, 3, 4, 0])
