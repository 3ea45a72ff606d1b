"""Signs of a training step in TensorFlow's graph mode: one pass, and bits kept, give what plain operations give."""

import contextlib

import numpy as np
import pytest
from conftest import array, tensor

from tfq import layers, quantizers
from tfq.backend import rounding, signs, windows
from tfq.backend.devices import accelerators
from tfq.backend.keras import keras
from tfq.backend.rounding import bfloat16_products
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


class TestInBfloat16:
    """Where TensorFlow rewrites the graph, between products."""

    @pytest.fixture(autouse=True)
    def rewritten(self):
        import tensorflow as tf

        with bfloat16_products():
            seen = []
            tf.function(lambda: seen.append(rounding.are_rewritten())).get_concrete_function()
            if seen != [True]:
                pytest.skip("the processor does not multiply bfloat16")
            assert not rounding.are_rewritten()  # not in a graph
            yield

    def gradients(self, quantizer, scale):
        """Outputs and all gradients of a layer between two convolutions, whose inputs are of bfloat16, then."""
        import tensorflow as tf

        inputs = np.random.default_rng(0).integers(-64, 65, (4, *SHAPE)).astype("float32") / 64 * scale
        middle = layers.QuantConv2D(16, 3, padding="same", input_quantizer=quantizer, use_bias=False)
        first, last = (keras.layers.Conv2D(16, 1, use_bias=False) for _ in range(2))
        for layer in (first, middle, last):
            layer.build((None, *SHAPE))
        first.set_weights([np.eye(16, dtype="float32")[None, None]])  # passes the numbers on, of which some are at an end
        for seed, layer in enumerate((middle, last)):
            layer.set_weights([np.random.default_rng(seed).normal(size=layer.get_weights()[0].shape)])
        kernels = [read(layer) for layer in (first, middle, last)]

        @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE])])
        def run(inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = last(middle(first(inputs), training=True))
                loss = tf.reduce_sum(outputs**2)
            return outputs, *tape.gradient(loss, [inputs, *kernels])

        return [array(part) for part in run(tensor(inputs))]

    @pytest.mark.parametrize(
        "quantizer",
        [quantizers.XnorInputs(), quantizers.SteSign(0.5), quantizers.SteSign(0.3), quantizers.DoReFaInputs(2)],
        ids=str,
    )
    def test_values_and_gradients_are_those_of_plain_operations(self, quantizer, monkeypatch):
        end = getattr(quantizer, "clip_value", 1.0)
        found = self.gradients(quantizer, 2 * end)
        monkeypatch.setattr(signs, "are_fast", lambda x: False)
        monkeypatch.setattr(windows, "_has_halves", lambda *_: False)
        plain = self.gradients(quantizer, 2 * end)
        assert 0 < np.mean(found[1] == 0) < 1  # some are beyond the window
        for one, other in zip(found, plain, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_no_cast_lies_between_products(self, tmp_path, monkeypatch):
        from tensorflow.core.framework import graph_pb2, types_pb2

        monkeypatch.setenv("TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_LOG_PATH", str(tmp_path))
        self.gradients(quantizers.XnorInputs(), 2.0)
        (file,) = tmp_path.glob("graphdef_AutoMixedPrecision*.pb")
        nodes = graph_pb2.GraphDef.FromString(file.read_bytes()).node
        ops = ("GreaterEqual", "EnsureShape", "LessEqual", "Select")  # of the sign and of the window
        types = sorted((node.op, node.attr["T"].type) for node in nodes if node.op in ops)
        assert types == sorted((op, types_pb2.DT_BFLOAT16) for op in ops)
        of_window = [node for node in nodes if node.op == "Cast" and node.attr["SrcT"].type == types_pb2.DT_BOOL]
        assert [node.attr["DstT"].type for node in of_window] == [types_pb2.DT_BFLOAT16]

    def test_an_end_that_bfloat16_does_not_hold(self):
        ends = [0.0, 1.0, -1.0, 0.5, 1.25, 0.3, 1 / 255, 1e39, 2.0**-130]
        assert [windows._is_bfloat16(end) for end in ends] == [True] * 5 + [False] * 4
