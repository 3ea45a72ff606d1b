"""Signs of a training step in TensorFlow's graph mode: one pass, and bits kept, give what plain operations give."""

import contextlib

import numpy as np
import pytest
from conftest import array, tensor

from tfq import layers, quantizers
from tfq.backend import signs
from tfq.backend.devices import accelerators
from tfq.backend.keras import keras
from tfq.quantizers.base import InputQuantizer

pytestmark = pytest.mark.tensorflow_only

SHAPE = (16, 16, 16)
EDGES = np.float32([0.0, -0.0, 1.2e-38, -1.2e-38, np.inf, -np.inf, np.nan])


def images(*ends):
    """Two images with values at, below and above 0 and the ends of a window."""
    drawn = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
    ends = np.float32(ends)
    edges = np.concatenate([EDGES, ends, *(np.nextafter(ends, np.float32(side * np.inf)) for side in (-1, 1))])
    drawn.flat[: len(edges)] = edges
    return drawn


def step(layer, inputs, upstream, graph):
    """Outputs and the gradients by inputs and kernel of a training step; the size of the batch is not known to the graph."""
    import tensorflow as tf

    def run(inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        return outputs, *tape.gradient(outputs, [inputs, read(layer)], output_gradients=upstream)

    signature = [tf.TensorSpec([None, *operand.shape[1:]]) for operand in (inputs, upstream)]
    function = tf.function(run, input_signature=signature) if graph else run
    return [array(part) for part in function(tensor(inputs), tensor(upstream))]


def read(layer):
    weight = layer.trainable_weights[0]
    return getattr(weight, "value", weight) if hasattr(weight, "path") else weight


@pytest.mark.parametrize("keep", [layers.keep_bits, contextlib.nullcontext])
@pytest.mark.parametrize(
    "make",
    [
        lambda **options: layers.QuantConv2D(8, 3, padding="same", pad_values=1, **options),
        lambda **options: layers.QuantConv2D(8, 1, strides=2, **options),
        lambda **options: layers.QuantDepthwiseConv2D(3, padding="same", **options),
    ],
    ids=["3x3", "1x1 in strides", "depthwise"],
)
@pytest.mark.parametrize("quantizer", [quantizers.XnorInputs(), quantizers.SteSign(0.3), quantizers.SteSign(None)], ids=str)
def test_values_and_gradients_are_those_of_plain_operations(quantizer, make, keep):
    layer = make(input_quantizer=quantizer, use_bias=False)
    end = getattr(quantizer, "clip_value", 1.0) or 1.0
    inputs = images(-end, end)
    upstream = np.random.default_rng(1).normal(size=array(layer(tensor(inputs))).shape).astype("float32")
    plain = step(layer, inputs, upstream, graph=False)
    with keep():
        found = step(layer, inputs, upstream, graph=True)
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("upstream", [np.inf, np.nan, 1e38])
def test_no_gradient_passes_outside_of_the_window_whatever_it_is(upstream):
    import tensorflow as tf

    @tf.function
    def gradient(inputs, scale, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = signs.product_of_signs(lambda signs, scale: signs * scale, inputs, [scale], -0.5, 1.0)
        return tape.gradient(outputs, inputs, output_gradients=upstream)

    inputs = images(-0.5, 1.0)
    found = array(gradient(tensor(inputs), tensor(2.0), tensor(np.full(inputs.shape, upstream))))
    expected = np.where((inputs >= -0.5) & (inputs <= 1.0), np.float32(2 * upstream), 0)
    np.testing.assert_array_equal(found, expected)


def graph_of_a_step():
    """Calls of compiled functions in a training step: name of the function, and what must be computed before."""
    import tensorflow as tf

    layer = layers.QuantConv2D(8, 3, input_quantizer="XnorInputs", use_bias=False)
    layer.build((None, *SHAPE))

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE])])
    def run(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        return tape.gradient(outputs, inputs)

    nodes = run.get_concrete_function().graph.as_graph_def().node
    return {node.attr["f"].func.name: list(node.input) for node in nodes if "f" in node.attr}


@pytest.mark.skipif(bool(accelerators()), reason="on processors alone")
def test_bits_are_unpacked_once_the_gradient_is_there():
    plain = graph_of_a_step()
    assert any("signs" in name for name in plain)
    assert not any("unpack" in name for name in plain)
    with layers.keep_bits():
        packed = graph_of_a_step()
    (of_unpacking,) = (inputs for name, inputs in packed.items() if "unpack" in name)
    assert any(source.startswith("^") for source in of_unpacking)


def test_where_signs_are_fast():
    import tensorflow as tf

    def fast(shape, dtype="float32"):
        found = []
        tf.function(lambda x: found.append(signs.are_fast(x))).get_concrete_function(tf.TensorSpec(shape, dtype))
        return found[0]

    assert fast((None, *SHAPE)) == (not accelerators())
    assert not signs.are_fast(tensor(np.zeros((2, *SHAPE))))  # not in a graph
    assert not any(fast(shape) for shape in ((None, None, 16, 64), (None, 8, 8, 8), (None, 4097), (8192,)))
    assert not fast((None, *SHAPE), "float16")


def test_a_call_of_ones_own_is_not_replaced():
    class Twice(quantizers.XnorInputs):
        def __call__(self, x):
            return 2.0 * super().__call__(x)

    class Named(quantizers.XnorInputs):
        pass

    class Nothing(InputQuantizer):
        pass

    assert [kind.is_clipped_sign for kind in (Twice, Named, Nothing)] == [False, True, False]


def test_an_operation_of_ones_own_keeps_its_floats():
    class Scaled(layers.QuantizedConvolution, keras.layers.Conv2D):
        def quantized_op(self, inputs, kernel):
            return self.scale * super().quantized_op(inputs, kernel)  # a variable that `product_of_signs` would not know

    layer = Scaled(8, 3, input_quantizer="XnorInputs", use_bias=False)
    layer.scale = layer.add_weight(name="scale", shape=(), initializer="ones")
    inputs = images(-1, 1)
    upstream = np.ones(array(layer(tensor(inputs))).shape, "float32")
    with layers.keep_bits():
        assert np.isfinite(step(layer, inputs, upstream, graph=True)[1]).all()
