"""Keras' own quantization on layers of tfq: refused, with the name of the layer; the other layers of a model may have it."""

import numpy as np
import pytest
from conftest import array

from tfq import layers
from tfq.backend.keras import keras
from tfq.quantizers import LSQWeights, TernaryWeights, XnorWeights

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
REFUSED = r"layer 'ours' \(QuantDense\) is quantized by tfq, and Keras' quantization '{}' would take the latent kernel instead"

pytestmark = pytest.mark.keras3_only  # tf_keras has none


def dense(**options):
    return layers.QuantDense(3, kernel_quantizer=XnorWeights(), name="ours", **options)


def mixed_model():
    x = keras.Input((6,))
    return keras.Model(x, keras.layers.Dense(2, name="theirs")(dense()(x)))


@pytest.mark.parametrize(
    ("policy", "mode"),
    [
        ("int8_from_float32", "int8"),
        ("int4_from_mixed_bfloat16", "int4"),
        ("float8_from_float32", "float8"),
        ({"mode": "int8", "source_name": "float32"}, "int8"),
    ],
    ids=["int8", "int4", "float8", "object"],
)
def test_a_quantized_policy_is_refused_by_the_constructor(policy, mode):
    if isinstance(policy, dict):
        policy = keras.dtype_policies.QuantizedDTypePolicy(**policy)
    with pytest.raises(ValueError, match=REFUSED.format(mode)):
        dense(dtype=policy)


@pytest.mark.parametrize(
    "make",
    [
        lambda **policy: layers.QuantConv2D(3, 3, name="ours", **policy),
        lambda **policy: layers.QuantDepthwiseConv2D(3, name="ours", **policy),
    ],
)
def test_convolutions_refuse_it_too(make):
    with pytest.raises(ValueError, match=r"layer 'ours' .* is quantized by tfq"):
        make(dtype="int8_from_float32")


def test_the_policy_of_a_map_is_refused_when_the_layer_is_built():
    policies = keras.dtype_policies.DTypePolicyMap()
    policies["ours"] = keras.dtype_policies.QuantizedDTypePolicy("int8", "float32")
    with pytest.raises(ValueError, match=REFUSED.format("int8")):
        dense(dtype=policies).build((None, 6))
    with pytest.raises(ValueError, match=REFUSED.format("int8")):
        dense(dtype=policies)(X)


def test_a_map_may_quantize_other_layers():
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="int8_from_float32")
    policies["ours"] = keras.dtype_policies.DTypePolicy("float32")
    layer, plain = dense(dtype=policies), dense()
    outputs = layer(X)
    plain.build(X.shape)
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(array(outputs), array(plain(X)))


def under(policy):
    keras.config.set_dtype_policy(policy)
    return dense()


def test_the_global_policy_is_refused():
    before = keras.config.dtype_policy()
    try:
        with pytest.raises(ValueError, match=REFUSED.format("int8") + "|global dtype policy cannot be quantized"):  # Keras 3.16
            under("int8_from_float32")
    finally:
        keras.config.set_dtype_policy(before)


def test_a_layer_is_not_quantized_by_keras():
    layer = dense()
    expected = array(layer(X))
    with pytest.raises(NotImplementedError, match=REFUSED.format("int8")):
        layer.quantize("int8")
    with pytest.raises(ValueError, match=REFUSED.format("int8")):
        layer.quantize("int8", type_check=False)
    np.testing.assert_array_equal(array(layer(X)), expected)


def test_a_policy_that_is_set_later_is_refused_in_the_next_call():
    layer = dense()
    layer(X)
    with pytest.raises(NotImplementedError, match=REFUSED.format("int8")):
        layer.dtype_policy = "int8_from_float32"
    with pytest.raises(ValueError, match=REFUSED.format("int8")):
        layer(X)


def test_a_model_quantizes_its_other_layers_and_warns_of_ours():
    model = mixed_model()
    kernel = array(model.get_layer("ours").kernel)
    with pytest.warns(UserWarning, match="'ours'"):
        model.quantize("int8")
    assert model.get_layer("theirs").quantization_mode == "int8"
    assert model.get_layer("ours").quantization_mode is None
    np.testing.assert_array_equal(array(model.get_layer("ours").kernel), kernel)
    assert model.predict(X, verbose=0).shape == (4, 2)


@pytest.mark.filterwarnings("ignore:Layer InputLayer")
def test_a_model_that_asks_for_all_layers_is_refused():
    with pytest.raises(ValueError, match=REFUSED.format("int8")):
        mixed_model().quantize("int8", type_check=False)


# --- LoRA: the quantizer sees W + (alpha / rank) A B


def quantized(w):
    return np.where(w >= 0, 1, -1) * np.abs(w).mean(axis=tuple(range(w.ndim - 1)), keepdims=True)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [(dense, (4, 6)), (lambda **dtype: layers.QuantConv2D(3, 2, kernel_quantizer=XnorWeights(), **dtype), (2, 4, 4, 3))],
    ids=["dense", "convolution"],
)
def test_the_quantizer_sees_the_adapted_kernel(make, shape, policy):
    layer = make(dtype=policy)
    layer.build(shape)
    w = array(layer.kernel)
    layer.enable_lora(2, lora_alpha=6)
    layer.lora_kernel_b.assign(np.random.default_rng(1).normal(size=layer.lora_kernel_b.shape))
    a, b = array(layer.lora_kernel_a), array(layer.lora_kernel_b)
    expected = quantized(w + 3 * a @ b)
    assert not np.array_equal(np.sign(expected), np.sign(w))
    np.testing.assert_allclose(array(layer.quantized_kernel), expected, rtol=1e-5)
    plain = make(dtype=policy)
    plain.build(shape)
    plain.set_weights([w + 3 * a @ b, *layer.get_weights()[1:2]])
    x = np.random.default_rng(2).normal(size=shape).astype("float32")
    np.testing.assert_allclose(array(layer(x)), array(plain(x)), rtol=1e-2 if policy != "float32" else 1e-5, atol=1e-5)


@pytest.mark.parametrize("quantizer", [TernaryWeights(), LSQWeights(4)], ids=repr)
def test_only_the_factors_learn_and_a_file_holds_the_sum(quantizer, tmp_path):
    x = keras.Input((6,))
    layer = layers.QuantDense(3, kernel_quantizer=quantizer, name="ours")
    model = keras.Model(x, layer(x))
    layer.enable_lora(2)
    frozen, a, b = (array(weight) for weight in (layer._kernel, layer.lora_kernel_a, layer.lora_kernel_b))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(X, np.ones((4, 3), "float32"), epochs=3, verbose=0)
    np.testing.assert_array_equal(array(layer._kernel), frozen)
    assert not np.array_equal(array(layer.lora_kernel_a), a)
    assert not np.array_equal(array(layer.lora_kernel_b), b)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    assert not array(again.get_layer("ours").lora_kernel_b).any()
