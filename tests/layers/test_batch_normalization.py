"""The fused batch normalization against Keras' own, in everything that can be seen from outside."""

import numpy as np
import pytest
from conftest import array, layer_vjp, tensor

from tfq.backend.keras import backend, is_legacy, keras, ops
from tfq.layers import BatchNormalization

Stock = keras.layers.BatchNormalization

# float32 sums over M = 105 or so elements in another order. The gradient for x is a difference of such sums, hence the absolute
# part; values of size 1.
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}


def pair(x, **options):
    """Ours and the stock layer, with the same weights that are not the initial ones."""
    made = []
    for cls in (BatchNormalization, Stock):
        layer = cls(**options)
        layer.build((None, *x.shape[1:]))
        generator = np.random.default_rng(1)
        layer.set_weights([generator.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        made.append(layer)
    return made


def images(n, height=7, width=5, channels=3, offset=0.5):
    x = np.random.default_rng(n).normal(size=(n, height, width, channels)) * [0.1, 1, 3][:channels] + offset
    return x.astype("float32")


def assert_same_steps(x, steps=3, training=True, tolerance=TOLERANCE, **options):
    ours, stock = pair(x, **options)
    for step in range(steps):
        batch = x * (1 + step) + 0.1 * step
        upstream = np.random.default_rng(step).normal(size=x.shape)
        output, gradients = layer_vjp(ours, batch, upstream, training)
        expected, expected_gradients = layer_vjp(stock, batch, upstream, training)
        np.testing.assert_allclose(output, expected, **tolerance)
        for a, b in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance["rtol"], atol=tolerance["atol"] * max(1, np.abs(b).max()))
        for a, b in zip(ours.get_weights(), stock.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    return ours


@pytest.mark.legacy_only
def test_tf_keras_has_its_own_fused_layer():
    assert BatchNormalization is Stock


@pytest.mark.keras3_only
class TestAgainstKeras:
    @pytest.mark.parametrize("n", [1, 3, 4])
    @pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"center": False, "scale": False}])
    def test_training_steps(self, n, options):
        assert_same_steps(images(n), **options)

    @pytest.mark.parametrize("options", [{"momentum": 0.5}, {"epsilon": 1e-5}, {"epsilon": 0.1}, {"axis": 3}, {"momentum": 0.0}])
    def test_options(self, options):
        assert_same_steps(images(3), **options)

    def test_a_single_element_a_channel(self):
        """M = 1: the variance is 0, not 0/0, and the correction by M / (M - 1) must not spoil it."""
        layer = assert_same_steps(images(1, 1, 1), steps=2)
        assert np.isfinite(layer.get_weights()).all()

    def test_two_elements_a_channel(self):
        # M = 2: M / (M - 1) = 2, where a forgotten correction shows most.
        ours, stock = pair(images(2, 1, 1), momentum=0.0)
        for layer in (ours, stock):
            layer(tensor([[[[1, 2, 3]]], [[[3, 6, 9]]]]), training=True)
        np.testing.assert_allclose(ours.get_weights()[3], [1, 4, 9], rtol=1e-6)
        np.testing.assert_allclose(stock.get_weights()[3], [1, 4, 9], rtol=1e-6)

    def test_inference_is_the_stock_path(self):
        ours, stock = pair(images(3))
        for training in (False, None):
            np.testing.assert_array_equal(
                array(ours(tensor(images(3)), training=training)), array(stock(tensor(images(3)), training=training))
            )
        for a, b in zip(ours.get_weights(), stock.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_frozen_layers_use_and_keep_their_statistics(self):
        ours, stock = pair(images(3))
        before = ours.get_weights()
        ours.trainable = stock.trainable = False
        np.testing.assert_array_equal(
            array(ours(tensor(images(3)), training=True)), array(stock(tensor(images(3)), training=True))
        )
        for a, b in zip(ours.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)

    @pytest.mark.parametrize(
        ("shape", "options"),
        [
            ((6, 3), {}),
            ((4, 5, 3), {}),
            ((3, 4, 5, 6), {"axis": 1}),
            ((3, 4, 5, 6), {"axis": 2}),
            ((2, 3, 4, 5, 3), {}),
            ((3, 4, 5, 6), {"epsilon": 1e-6}),
            ((3, 4, 5, 6), {"renorm": True}),
        ],
    )
    def test_what_the_fused_op_cannot_do_takes_the_stock_path(self, shape, options):
        x = np.random.default_rng(2).normal(size=shape).astype("float32")
        ours, stock = pair(x, **options)
        np.testing.assert_array_equal(array(ours(tensor(x), training=True)), array(stock(tensor(x), training=True)))
        for a, b in zip(ours.get_weights(), stock.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    @pytest.mark.skipif(backend == "jax", reason="JAX has float32 only, unless told otherwise")
    def test_float64(self):
        x = np.random.default_rng(2).normal(size=(3, 4, 5, 6))
        ours, stock = pair(x, dtype="float64")
        x = ops.convert_to_tensor(x, dtype="float64")
        output = ours(x, training=True)
        assert "float64" in str(output.dtype)
        np.testing.assert_array_equal(array(output), array(stock(x, training=True)))

    def test_mask(self):
        x, mask = images(3), np.random.default_rng(3).random((3, 7, 5)) > 0.3
        ours, stock = pair(x)
        outputs = [array(layer(tensor(x), training=True, mask=ops.convert_to_tensor(mask))) for layer in (ours, stock)]
        np.testing.assert_array_equal(*outputs)
        np.testing.assert_array_equal(ours.get_weights()[2], stock.get_weights()[2])

    @pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
    def test_half_precision(self, dtype):
        x = images(3)
        ours, stock = pair(x, dtype=dtype)
        half = dtype.removeprefix("mixed_")
        output, expected = (layer(tensor(x, half), training=True) for layer in (ours, stock))
        assert half in str(output.dtype)
        # Both compute in float32 and round once: they can differ by one unit where that falls on a boundary.
        np.testing.assert_allclose(array(output), array(expected), rtol=2**-7 if half == "bfloat16" else 2**-10, atol=1e-6)
        for a, b in zip(ours.get_weights(), stock.get_weights(), strict=True):
            assert a.dtype == np.float32
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_half_precision_with_half_precision_statistics(self, dtype):
        x = images(3)
        ours, stock = pair(x, dtype=dtype)
        unit = 2**-7 if dtype == "bfloat16" else 2**-10
        for layer in (ours, stock):
            assert {weight.dtype.name for weight in layer.get_weights()} == {dtype}
        for _ in range(2):
            output, expected = (layer(tensor(x, dtype), training=True) for layer in (ours, stock))
            assert dtype in str(output.dtype)
            np.testing.assert_allclose(array(output), array(expected), rtol=unit, atol=1e-6)
        for a, b in zip(ours.get_weights(), stock.get_weights(), strict=True):
            np.testing.assert_allclose(a.astype("float32"), b.astype("float32"), rtol=unit)

    @pytest.mark.parametrize("options", [{"center": False}, {"scale": False}])
    def test_the_default_dtype_of_keras_does_not_matter(self, options):
        keras.config.set_floatx("float16")
        try:
            ours, stock = pair(images(3), dtype="float32", **options)
            outputs = [array(layer(tensor(images(3)), training=True)) for layer in (ours, stock)]
        finally:
            keras.config.set_floatx("float32")
        np.testing.assert_allclose(*outputs, **TOLERANCE)

    def test_half_precision_does_not_overflow(self):
        x = np.full((2, 4, 4, 3), 3000.0)
        x[1] += 50  # squares are beyond float16
        ours, stock = pair(x, dtype="mixed_float16")
        output, expected = (array(layer(tensor(x, "float16"), training=True)) for layer in (ours, stock))
        assert np.isfinite(output).all()
        # Mean 3025, deviation 25: the variance is a difference of float32 sums near 10^7, good to 1e-3.
        np.testing.assert_allclose(output, expected, rtol=5e-3, atol=5e-3)

    def test_weights_are_those_of_the_stock_layer(self, tmp_path):
        def model(cls):
            return keras.Sequential([keras.Input((7, 5, 3)), cls(name="normalization")])

        ours, stock = model(BatchNormalization), model(Stock)
        assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in stock.weights]
        ours.compile("sgd", "mse")
        ours.fit(images(3), images(3), verbose=0)
        ours.save_weights(tmp_path / "ours.weights.h5")
        stock.load_weights(tmp_path / "ours.weights.h5")
        np.testing.assert_array_equal(ours.predict(images(4), verbose=0), stock.predict(images(4), verbose=0))

    def test_configuration_is_that_of_the_stock_layer(self):
        options = {"momentum": 0.9, "epsilon": 1e-4, "center": False, "name": "normalization"}
        ours, stock = BatchNormalization(**options), Stock(**options)
        assert ours.get_config() == stock.get_config()
        assert BatchNormalization.from_config(ours.get_config()).get_config() == ours.get_config()


def graph_ops(layer, x, **options):
    import tensorflow as tf

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
        return tape.gradient(outputs, x)

    function = tf.function(step, **options).get_concrete_function(tf.TensorSpec(x.shape))
    return {op.type for op in function.graph.get_operations()}


@pytest.mark.keras3_only
@pytest.mark.tensorflow_only
class TestFusedOp:
    def test_training_uses_the_fused_op_forward_and_backward(self):
        ours, stock = pair(images(3))
        assert {"FusedBatchNormV3", "FusedBatchNormGradV3"} <= graph_ops(ours, images(3))
        assert not {"FusedBatchNormV3", "FusedBatchNormGradV3"} & graph_ops(stock, images(3))

    @pytest.mark.parametrize("options", [{"epsilon": 1e-6}, {"axis": 1}, {"renorm": True}])
    def test_the_fallback_does_not(self, options):
        assert "FusedBatchNormV3" not in graph_ops(pair(images(3), **options)[0], images(3))

    def test_the_smallest_epsilon_of_the_fused_op(self):
        # Below 1.001e-5 the op would use 1.001e-5 silently: with a variance of 1e-5 that shows.
        x = images(3) * np.float32([0.01, 0.003, 0.001])
        for epsilon in (1.001e-5, 1e-5, 1e-7):
            assert_same_steps(x, steps=1, tolerance={"rtol": 1e-3, "atol": 1e-3}, epsilon=epsilon)

    def test_compiled_by_xla(self):
        import tensorflow as tf

        ours, stock = pair(images(3), momentum=0.0)
        output = tf.function(lambda x: ours(x, training=True), jit_compile=True)(tensor(images(3)))
        np.testing.assert_allclose(array(output), array(stock(tensor(images(3)), training=True)), **TOLERANCE)
        for a, b in zip(ours.get_weights(), stock.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_training_a_model_moves_the_statistics():
    model = keras.Sequential(
        [keras.Input((7, 5, 3)), BatchNormalization(momentum=0.0), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x = images(4)
    model.fit(x, np.zeros((4, 1)), batch_size=4, verbose=0)
    moving_mean, moving_variance = model.layers[0].get_weights()[2:]
    np.testing.assert_allclose(moving_mean, x.mean((0, 1, 2)), rtol=1e-4)
    # tf_keras' fused layer keeps the variance times M / (M - 1), Keras 3 and ours the biased one.
    m = 4 * 7 * 5
    np.testing.assert_allclose(moving_variance, x.var((0, 1, 2)) * (m / (m - 1) if is_legacy else 1), rtol=1e-4)
