"""Keras models as packed graphs: codes and scales give the kernels again, and the graph computes what the model computes."""

import numpy as np
import pytest
from conftest import array
from running import sampled, slow_on

import models
from tfq.backend.keras import keras, ops
from tfq.convert.from_keras import Unsupported, from_keras
from tfq.graph import file, kernels, reference
from tfq.graph import nodes as g
from tfq.layers import BatchNormalization, QuantActivation, QuantConv2D, QuantDense, QuantEinsumDense
from tfq.quantizers import DoReFaInputs, DoReFaWeights, LSQWeights, TernaryWeights, XnorInputs, XnorWeights

RNG = np.random.default_rng(0)


def values(kernel):
    """The kernel that a packed one stands for, float32."""
    return kernels.values(kernel).astype("float32")


def randomized(model):
    """The model with weights of all kinds, batch normalization too."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            randomized(layer)
            continue
        layer.set_weights([RNG.normal(size=w.shape).astype(w.dtype) for w in layer.get_weights()])
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([*layer.get_weights()[:-1], RNG.uniform(0.1, 3, layer.get_weights()[-1].shape)])
    return model


def assert_same(model, count=4):
    """The graph, written and read again, gives the outputs of the model; returns the graph."""
    graph = from_keras(model)
    images = RNG.normal(size=(count, *graph.input_shape)).astype("float32")
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(reference.run(graph, images), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    return graph


@pytest.mark.parametrize(
    ("quantizer", "coding", "scales"),
    [
        (XnorWeights(), "binary", 5),
        (XnorWeights(center=True, clip=True), "binary", 5),
        (TernaryWeights(), "ternary", 1),
        (TernaryWeights(per_filter=True), "ternary", 5),
        (DoReFaWeights(1), "binary", 1),
        *[(DoReFaWeights(bits), "levels", 1) for bits in (2, 3, 8, 16)],
        *[(LSQWeights(bits), "integer", 1) for bits in (2, 5)],
    ],
)
@pytest.mark.parametrize("zeros", [False, True])
def test_codes_and_scales_give_the_quantized_kernel(quantizer, coding, scales, zeros):
    """Exactly, but for DoReFa's levels, which Keras computes in float32; a filter of zeros too."""
    layer = QuantConv2D(5, (3, 2), kernel_quantizer=quantizer, use_bias=False)
    model = keras.Sequential([keras.Input((6, 6, 3)), layer])
    kernel = RNG.normal(size=(3, 2, 3, 5)).astype("float32")
    if zeros:
        kernel[..., 2] = 0
    layer.kernel.assign(kernel)
    (node,) = from_keras(model).nodes
    assert (node.kernel.coding, len(node.kernel.scale)) == (coding, scales)
    expected = array(layer.quantized_kernel)
    if coding == "levels":
        np.testing.assert_allclose(values(node.kernel), expected, atol=2.5e-7)
        assert node.kernel.bits == quantizer.bits
    else:
        np.testing.assert_array_equal(values(node.kernel), expected)


def test_batch_normalization_is_folded():
    layer = keras.layers.BatchNormalization(epsilon=0.01)
    model = randomized(keras.Sequential([keras.Input((3, 3, 4)), layer]))
    gamma, beta, mean, variance = (w.astype("float64") for w in layer.get_weights())
    (node,) = from_keras(model).nodes
    np.testing.assert_allclose(node.scale, gamma / np.sqrt(variance + 0.01), rtol=1e-7)
    np.testing.assert_allclose(node.shift, beta - mean * gamma / np.sqrt(variance + 0.01), rtol=1e-6)
    assert_same(model)


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"scale": False, "center": False}])
def test_batch_normalization_without_parameters(options):
    assert_same(randomized(keras.Sequential([keras.Input((3, 3, 4)), BatchNormalization(**options)])))


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        {},  # adapted
        {"mean": [1.0, 2.0, 3.0], "variance": [4.0, 9.0, 0.0]},
        {"axis": None, "mean": 3.0, "variance": 4.0},
    ],
)
def test_normalization_is_a_scale_and_a_shift(values, invert):
    layer = keras.layers.Normalization(**values, invert=invert)
    if not values:
        layer.adapt(RNG.normal(3, 2, size=(8, 4, 4, 3)).astype("float32"))
    x = keras.Input((4, 4, 3))
    graph = assert_same(keras.Model(x, keras.layers.ReLU()(layer(x))))
    assert [type(node) for node in graph.nodes] == [g.ScaleShift, g.ReLU]


def test_every_layer(tmp_path):
    """All layers and options in one network, with a shared layer and a nested model, through a file and back."""
    L = keras.layers
    inner_input = keras.Input((16, 16, 6))
    inner = keras.Model(inner_input, L.MaxPooling2D(3, 2, padding="same")(L.ReLU(6.0)(inner_input)), name="inner")
    x = keras.Input((16, 16, 3), name="input")
    y = L.Rescaling([2.0, 0.5, 1.0], 0.25)(x)
    y = L.Conv2D(6, (3, 2), strides=(1, 1), activation="relu", padding="same", name="conv")(y)
    y = L.Dropout(0.5)(BatchNormalization()(y))
    shared = QuantConv2D(
        6, 3, padding="same", input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights(), pad_values=-1, kmap=True
    )
    y = shared(shared(y))
    y = L.Add()([y, QuantConv2D(6, 3, padding="same", dilation_rate=2, kernel_quantizer=TernaryWeights())(y)])
    y = L.Concatenate()([inner(y), inner(L.Activation("relu")(y)), L.AveragePooling2D(3, 2, padding="same")(y)])
    y = QuantConv2D(8, 3, 2, input_quantizer=DoReFaInputs(2), kernel_quantizer=DoReFaWeights(3), padding="same", pad_values=1)(y)
    y = L.Concatenate()([QuantActivation(XnorInputs())(y), QuantActivation(DoReFaInputs(4))(y), QuantActivation(None)(y)])
    flat = L.Flatten()(L.Reshape((1, 1, 24))(L.GlobalMaxPooling2D()(y)))
    y = L.Add()([flat, L.GlobalAveragePooling2D()(y), L.Flatten()(L.GlobalAveragePooling2D(keepdims=True)(y))])
    y = QuantDense(12, input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights())(y)
    model = randomized(keras.Model(x, L.Dense(5, activation="linear")(y)))
    graph = assert_same(model, count=8)
    file.write(graph, tmp_path / "model.tfq")
    again = file.read(tmp_path / "model.tfq")
    images = RNG.normal(size=(4, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(reference.run(again, images), reference.run(graph, images))
    names = [node.name for node in graph.nodes]
    assert {"conv", "conv/activation", shared.name, f"{shared.name}_2"} <= set(names)
    assert sum(name.startswith("inner/") for name in names) == 4
    assert not any("dropout" in name for name in names)


@pytest.mark.parametrize("network", sampled(models.NETWORKS, {"resnet20"}, "tf_keras", "jax"))
@pytest.mark.parametrize("method", sampled(["float", "xnor", "ternary_a1", "dorefa"], {"xnor"}, "tf_keras", "jax"))
def test_the_networks(network, method):
    options = {"depth": 8, "width": 1} if network == "resnet20" else {}
    bits = {"w_bits": 2, "a_bits": 2} if method == "dorefa" else {}
    model = models.build(network, method, **bits, **options)
    graph = from_keras(model)
    assert [node.name for node in graph.nodes if isinstance(node, g.Conv2D)] == [
        layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    if method in ("float", "xnor") and network == "resnet20":
        assert_same(randomized(model))


@pytest.mark.tensorflow_only  # bytes do not depend on the backend, and JAX takes long to build four networks
@slow_on("tf_keras")
def test_sizes_of_the_full_networks(tmp_path):
    """The bounds of the wide resnet20: 1/25 of its float32 TFLite file, 1/14, 1.15 k/32."""
    float32 = 4_443_752
    for method, bits, most in (
        ("xnor", {}, float32 / 25),
        ("ternary", {}, float32 / 14),
        ("dorefa", {"w_bits": 2, "a_bits": 2}, 1.15 * 2 / 32 * float32),
        ("dorefa", {"w_bits": 5, "a_bits": 32}, 1.15 * 5 / 32 * float32),
    ):
        file.write(from_keras(models.build("resnet20", method, **bits)), tmp_path / "model.tfq")
        assert (tmp_path / "model.tfq").stat().st_size <= most


def test_uint8_statistics_and_labels():
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.ReLU()])
    graph = from_keras(model, pixel_mean=[0.1, 0.2, 0.3], pixel_std=[1, 2, 3], labels=["cat", "dog"])
    np.testing.assert_array_equal(graph.pixel_mean, np.array([0.1, 0.2, 0.3], "float32"))
    assert graph.labels == ("cat", "dog")
    with pytest.raises(Unsupported, match="pixel_mean has 2 values for 3 channels"):
        from_keras(model, pixel_mean=np.ones(2), pixel_std=np.ones(3))


# --- what has no packed form


class Mine(keras.layers.Conv2D):
    """A subclass may compute anything."""


def clipped(x):
    """A quantizer that is none of ours, of values that no coding stands for."""
    return ops.clip(x, -1.0, 1.0)


def signs(x):
    """One that is not ours either, but whose kernels are binary."""
    return ops.where(x >= 0, 1.0, -1.0)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: keras.layers.UpSampling2D(2, name="up"), "layer 'up' is a UpSampling2D, .* supported are .*Conv2D, "),
        (lambda: keras.layers.EinsumDense("bhwc,cd->bhwd", (4, 4, 2), name="sum"), "layer 'sum' is a EinsumDense"),
        (lambda: QuantEinsumDense("bhwc,cd->bhwd", (4, 4, 2), name="sum"), "layer 'sum' is a QuantEinsumDense"),
        (lambda: Mine(2, 3, name="my"), "layer 'my' is a Mine"),
        (lambda: keras.layers.Dense(2, activation="softmax", name="end"), "'end' .* activation is softmax; .* give logits"),
        (lambda: keras.layers.Activation("tanh", name="t"), "layer 't' .* activation is tanh"),
        (lambda: keras.layers.ReLU(negative_slope=0.1, name="leaky"), "layer 'leaky' .* negative_slope and threshold must be 0"),
        (lambda: keras.layers.ReLU(threshold=0.1, name="late"), "negative_slope and threshold must be 0"),
        (lambda: keras.layers.BatchNormalization(axis=1, name="bn"), "layer 'bn' .* normalizes axis"),
        (lambda: keras.layers.Concatenate(axis=1, name="cat"), "layer 'cat' .* axis 1; supported is the last"),
        (lambda: keras.layers.Rescaling(np.ones((4, 1, 1)), name="map"), "layer 'map' .* one a channel"),
        (lambda: keras.layers.Normalization(1, [0.0] * 4, [1.0, 2, 3, 4], name="rows"), "'rows' .* normalizes axis"),
        (lambda: QuantConv2D(2, 3, input_quantizer=clipped, name="q"), "'q' .* quantized by function; supported are XnorInputs"),
        (lambda: QuantConv2D(2, 3, kernel_quantizer=clipped, name="k"), r"'k' .* kernel_quantizer function gives neither"),
        (lambda: QuantActivation(clipped, name="a"), "'a' .* quantized by function"),
        (lambda: keras.layers.Reshape((2, 2, 4, 3), name="rows"), "'rows' has shape"),
    ],
)
def test_what_has_no_packed_form_is_refused_by_name(layer, message):
    x = keras.Input((4, 4, 3))
    layer = layer()
    y = layer([x, x] if isinstance(layer, keras.layers.Concatenate) else x)
    with pytest.raises(Unsupported, match=message):
        from_keras(keras.Model(x, y))


def test_all_layers_without_a_packed_form_are_named_at_once():
    x = keras.Input((4, 4, 3))
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 3, activation="tanh", name="curve")], name="inner")
    y = inner(keras.layers.UpSampling2D(name="up")(x))
    y = keras.layers.ReLU(negative_slope=0.1, name="leaky")(BatchNormalization()(y))
    y = keras.layers.Softmax(name="soft")(keras.layers.Dense(2)(keras.layers.Flatten()(y)))
    with pytest.raises(Unsupported) as error:
        from_keras(keras.Model(x, y))
    text = str(error.value)
    assert text.startswith("4 layers have no packed form: layer 'up' is a UpSampling2D, which has no packed form; layer 'inner/c")
    assert "its activation is tanh" in text
    assert "layer 'leaky' (ReLU) cannot be packed: negative_slope" in text
    assert "layer 'soft' is a Softmax" in text
    assert text.count("supported are Activation, ") == 1
    assert text.endswith("let the model give logits, which rank the classes alike")
    assert "\n" not in text


def test_a_layer_of_several_outputs_is_refused_by_name():
    inputs = keras.Input((4, 3))
    _, state, _ = keras.layers.LSTM(2, return_state=True, name="memory")(inputs)
    with pytest.raises(Unsupported, match="layer 'memory' is a LSTM, which has no packed form"):
        from_keras(keras.Model(inputs, keras.layers.Dense(2)(state)))


def test_a_binary_kernel_is_packed_whoever_made_it():
    model = keras.Sequential([keras.Input((4, 4, 3)), QuantConv2D(2, 3, kernel_quantizer=signs, kernel_initializer="he_normal")])
    graph = assert_same(randomized(model))
    assert (graph.nodes[0].kernel.coding, graph.nodes[0].kernel.scale.tolist()) == ("binary", [1.0])


def test_models_without_a_graph_of_known_shapes_are_refused():
    x = keras.Input((None, None, 3))
    with pytest.raises(Unsupported, match=r"input of layer 'c' must have a known shape; got \(None, None, None, 3\)"):
        from_keras(keras.Model(x, keras.layers.Conv2D(2, 3, name="c")(x)))
    x = keras.Input((4,))
    with pytest.raises(Unsupported, match="one input and one output; got 1 inputs, 2 outputs"):
        from_keras(keras.Model(x, [keras.layers.ReLU()(x), keras.layers.Dense(2)(x)]))
    with pytest.raises(Unsupported, match="does nothing"):
        from_keras(keras.Model(x, keras.layers.Dropout(0.5)(x)))
    with pytest.raises(Unsupported, match="layer 'norm' is called with training"):
        from_keras(keras.Model(x, keras.layers.BatchNormalization(name="norm")(x, training=True)))


def test_weights_that_are_not_finite_are_refused():
    layer = QuantDense(2, kernel_quantizer=XnorWeights(), use_bias=False, name="d")
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.set_weights([np.full((4, 2), np.nan)])
    with pytest.raises(Unsupported, match=r"layer 'd' .* not finite"):
        from_keras(model)


@pytest.mark.parametrize(
    ("place", "value", "what"),
    [("gamma", np.inf, "scale"), ("moving_variance", -1.0, "scale"), ("moving_mean", np.nan, "shift"), ("beta", np.nan, "shift")],
)
def test_a_layer_whose_values_are_not_finite_is_named(place, value, what):
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.BatchNormalization(name="norm")(x))
    getattr(model.layers[-1], place).assign(np.array([1, value, 1, 1], "float32"))
    with pytest.raises(Unsupported, match=rf"layer 'norm' .* its {what} has 1 values that are not finite, of 4"):
        from_keras(model)


def test_a_bias_that_is_not_finite_is_named():
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(3, name="head")(x))
    model.layers[-1].bias.assign(np.array([np.inf, 1, np.nan], "float32"))
    with pytest.raises(Unsupported, match=r"layer 'head' .* its bias has 2 values that are not finite, of 3"):
        from_keras(model)


def test_a_name_that_is_too_long_is_shown():
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(3, name="d" * 490)(x))
    with pytest.raises(Unsupported, match=r"layer 'd{40}'... has a name of 490 characters; a file takes 480"):
        from_keras(model)
