"""Models of larq's layers become models of tfq's with the same outputs."""

import importlib

import numpy as np
import pytest
from conftest import array

from tfq import walk
from tfq.backend.keras import is_legacy, keras, load_model
from tfq.convert import from_larq
from tfq.layers import QuantizedLayer

legacy_only = pytest.mark.legacy_only
if is_legacy:
    lq = pytest.importorskip("larq")
layers = keras.layers
SHAPE = (8, 8, 4)


def images(count=8, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("float32")


def randomize(model, seed=0):
    """Give every weight values of both signs, and variances above 0."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        values = random.normal(scale=0.7, size=weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name else values)
    return model


def check(model, x, bitwise=True):
    """The converted model, which has the outputs and the gradients of `model`."""
    randomize(model)
    converted = from_larq(model)
    assert not [layer for _, layer in walk.layers(converted) if type(layer).__module__.startswith("larq.layers")]
    expected, got = array(model(x)), array(converted(x))
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(got, expected, rtol=0, atol=0 if bitwise else 1e-5 * np.abs(expected).max())
    of_each = [gradients(each, x) for each in (model, converted)]
    for name, gradient in of_each[0].items():
        np.testing.assert_allclose(of_each[1][name], gradient, rtol=0, atol=1e-5 * np.abs(gradient).max(), err_msg=name)
    return converted


def gradients(model, x):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = tf.reduce_sum(outputs * tf.constant(images(1, outputs.shape, seed=1)[0]))
    named = {f"{path}/{name}": each for path, of in walk.weights(model).items() for name, each in of.items() if each.trainable}
    return {name: array(each) for name, each in zip(named, tape.gradient(loss, list(named.values())), strict=True)}


def binary(**options):
    return {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", **options}


@legacy_only
def test_a_network_of_larq_has_the_same_outputs_and_gradients():
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            lq.layers.QuantConv2D(8, 3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip", use_bias=False),
            layers.BatchNormalization(scale=False),
            lq.layers.QuantConv2D(8, 3, padding="same", pad_values=1.0, **binary()),
            layers.MaxPooling2D(),
            layers.BatchNormalization(scale=False),
            lq.layers.QuantDepthwiseConv2D(
                2, input_quantizer="approx_sign", depthwise_quantizer="ste_sign", depthwise_constraint="weight_clip"
            ),
            layers.BatchNormalization(),
            layers.Flatten(),
            lq.layers.QuantDense(5, **binary(kernel_constraint=lq.constraints.WeightClip(1.25))),
            layers.Activation("softmax"),
        ],
        name="small",
    )
    converted = check(model, images())
    assert type(converted) is keras.Sequential
    assert [layer.name for layer in converted.layers] == [layer.name for layer in model.layers]
    quantized = [layer for layer in converted.layers if isinstance(layer, QuantizedLayer)]
    assert [type(layer).__name__ for layer in quantized] == ["QuantConv2D", "QuantConv2D", "QuantDepthwiseConv2D", "QuantDense"]
    assert quantized[1].pad_values == 1
    assert type(quantized[-1].kernel_constraint).__module__ == "tfq.constraints"
    assert quantized[-1].kernel_constraint.clip_value == 1.25
    assert quantized[2].depthwise_constraint.clip_value == 1


def quantizer_cases():
    if not is_legacy:
        return []
    q = lq.quantizers
    return [
        q.SteSign(clip_value=1.25),
        q.SteSign(clip_value=None),
        q.ApproxSign(),
        q.SwishSign(beta=3.0),
        q.SteTern(threshold_value=0.2),
        q.SteTern(ternary_weight_networks=True),
        q.SteHeaviside(),
        q.MagnitudeAwareSign(),
        q.DoReFa(2),
        q.DoReFa(3, mode="weights"),
        q.DoReFa(1, mode="weights"),
        q.NoOp(precision=1),
    ]


@legacy_only
@pytest.mark.parametrize("quantizer", quantizer_cases(), ids=lambda each: f"{type(each).__name__}-{each.precision}")
def test_each_quantizer_of_kernels(quantizer):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, lq.layers.QuantDense(40, kernel_quantizer=quantizer)(inputs))
    bitwise = type(quantizer).__name__ not in ("MagnitudeAwareSign", "DoReFa")
    converted = check(model, images(8, (6,)), bitwise)
    assert converted.layers[-1].kernel_quantizer.bits == quantizer.precision


@legacy_only
@pytest.mark.parametrize("number", [0, 2, 3, 4, 6, 8])
def test_each_quantizer_of_inputs_and_as_a_layer(number):
    quantizer = quantizer_cases()[number]
    inputs = keras.Input((6,))
    x = lq.layers.QuantDense(9, input_quantizer=quantizer)(quantizer(inputs))
    converted = check(keras.Model(inputs, layers.Activation(quantizer)(x)), images(8, (6,)))
    assert [type(layer).__name__ for layer in converted.layers] == ["InputLayer", "QuantActivation", "QuantDense", "Activation"]


@legacy_only
@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: lq.layers.QuantConv1D(5, 3, padding="causal", dilation_rate=2, **binary()), (8, 4)),
        (lambda: lq.layers.QuantConv3D(3, 2, strides=2, **binary()), (4, 4, 4, 2)),
        (lambda: lq.layers.QuantConv2DTranspose(3, 3, strides=2, padding="same", **binary()), (4, 4, 2)),
        (lambda: lq.layers.QuantConv3DTranspose(2, 2, **binary()), (3, 3, 3, 2)),
        (lambda: lq.layers.QuantSeparableConv1D(5, 3, input_quantizer="ste_sign", pointwise_quantizer="ste_tern"), (8, 4)),
        (
            lambda: lq.layers.QuantSeparableConv2D(
                5,
                3,
                depthwise_quantizer="ste_sign",
                pointwise_quantizer="magnitude_aware_sign",
                depthwise_constraint="weight_clip",
            ),
            SHAPE,
        ),
        (lambda: lq.layers.QuantConv2D(4, 3, groups=2, strides=2, padding="same", pad_values=-1.0, **binary()), SHAPE),
    ],
)
def test_each_layer(build, shape):
    inputs = keras.Input(shape)
    check(keras.Model(inputs, build()(inputs)), images(4, shape), bitwise=False)


@keras.saving.register_keras_serializable(package="test_from_larq")
def scaled(w):
    """As larq-zoo's quantizer of XNOR-Net: a function, with a sign of larq in it."""
    return keras.backend.mean(keras.backend.abs(w), axis=[0, 1, 2], keepdims=True) * lq.quantizers.ste_sign(w)


@legacy_only
def test_functions_of_ones_own_nested_models_and_sums_stay():
    inner_inputs = keras.Input((8, 8, 8))
    x = lq.layers.QuantConv2D(8, 3, padding="same", input_quantizer="ste_sign", kernel_quantizer=scaled, use_bias=False)(
        inner_inputs
    )
    inner = keras.Model(inner_inputs, layers.BatchNormalization()(x), name="inner")
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same", activation=lq.activations.hard_tanh, kernel_constraint="weight_clip")(inputs)
    x = x + inner(x)
    x = layers.add([inner(x), x])
    model = keras.Model(inputs, {"maps": layers.Activation("leaky_tanh")(x), "mean": layers.GlobalAveragePooling2D()(x)})
    randomize(model)
    converted = from_larq(model)
    for name, expected in model(images()).items():
        np.testing.assert_allclose(array(converted(images())[name]), array(expected), rtol=0, atol=1e-6)
    conv = converted.layers[1]
    assert (conv.activation.__module__, type(conv.kernel_constraint).__module__) == ("tfq.activations", "tfq.constraints")
    assert converted.get_layer("inner").layers[1].kernel_quantizer is scaled


@legacy_only
def test_metrics_of_the_kernel_are_asked_for_again(tmp_path):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, lq.layers.QuantDense(3, kernel_quantizer=lq.quantizers.SteSign(metrics=["flip_ratio"]))(inputs))
    converted = check(model, images(4, (6,)))
    assert converted.layers[-1].kernel_quantizer.metrics == ["flip_ratio"]
    converted.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(load_model(tmp_path / "model.keras")(images(4, (6,)))), array(converted(images(4, (6,)))))


@legacy_only
def test_a_layer_in_a_wrapper_is_converted():
    inputs = keras.Input((3, 6))
    converted = check(keras.Model(inputs, layers.TimeDistributed(lq.layers.QuantDense(4, **binary()))(inputs)), images(4, (3, 6)))
    assert isinstance(converted.layers[-1].layer, QuantizedLayer)


@keras.saving.register_keras_serializable(package="test_from_larq")
class Holder(layers.Layer):
    """A layer with one of larq's in it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = lq.layers.QuantDense(3)

    def call(self, inputs):
        return self.inner(inputs)


def of_one_layer(layer, shape=SHAPE):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


class Subclassed(keras.Model):
    """A model that computes in its own call."""

    def call(self, inputs):
        return inputs


@legacy_only
@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: of_one_layer(lq.layers.QuantDepthwiseConv2D(3, depthwise_quantizer="magnitude_aware_sign", name="dw")),
            ValueError,
            r"'dw': larq's MagnitudeAwareSign has one scale .* axes \(-2, -1\)",
        ),
        (
            lambda: of_one_layer(lq.layers.QuantConv2DTranspose(2, 3, kernel_quantizer="magnitude_aware_sign", name="up")),
            ValueError,
            "'up': larq's MagnitudeAwareSign",
        ),
        (
            lambda: of_one_layer(lq.layers.QuantLocallyConnected1D(2, 3, name="local"), (8, 4)),
            ValueError,
            "'local': tfq has no Quant",
        ),
        (
            lambda: of_one_layer(lq.layers.QuantConv2D(2, 3, padding="same", pad_values=0.5)),
            ValueError,
            "pad_values must be 0, 1",
        ),
        (lambda: of_one_layer(lq.layers.QuantDense(2, input_quantizer=lq.quantizers.DoReFa(2, "weights"))), ValueError, "inputs"),
        (lambda: of_one_layer(Holder(name="own"), (6,)), ValueError, "'own': a Holder holds a QuantDense of larq"),
        (Subclassed, ValueError, "computes in its own `call`"),
        (lambda: layers.Dense(3), TypeError, "takes a model of tf_keras; got Dense"),
    ],
)
def test_what_has_no_counterpart_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        from_larq(build())


@pytest.mark.keras3_only
def test_keras_3_has_no_models_of_larq():
    inputs = keras.Input((2,))
    with pytest.raises(RuntimeError, match="set TF_USE_LEGACY_KERAS=1"):
        from_larq(keras.Model(inputs, layers.Dense(2)(inputs)))


@legacy_only
@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("literature.birealnet", "BiRealNet"),
        ("literature.binary_alex_net", "BinaryAlexNet"),
        ("literature.xnornet", "XNORNet"),
        ("literature.dorefanet", "DoReFaNet"),
        ("literature.resnet_e", "BinaryResNetE18"),
        ("literature.real_to_bin_nets", "RealToBinaryNet"),
        ("literature.densenet", "BinaryDenseNet28"),
        ("literature.meliusnet", "MeliusNet22"),
        ("sota.quicknet", "QuickNetSmall"),
    ],
)
def test_networks_of_larq_zoo(module, name):
    pytest.importorskip("larq_zoo")
    model = getattr(importlib.import_module(f"larq_zoo.{module}"), name)(weights=None, num_classes=10)
    x = images(2, (224, 224, 3))
    expected = array(model(x))
    converted = from_larq(model)
    np.testing.assert_allclose(array(converted(x)), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
