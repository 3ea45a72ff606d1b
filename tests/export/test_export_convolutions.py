"""Convolutions of sequences, depthwise, separable and transposed ones: the packed network, the engine and the way back."""

import numpy as np
import pytest
from running import sampled, slow_on

import tfq
from tfq import export
from tfq.backend.keras import keras
from tfq.convert.from_keras import from_keras
from tfq.convert.to_keras import to_keras
from tfq.graph import nodes as g
from tfq.graph import reference
from tfq.layers import (
    QuantConv1D,
    QuantConv1DTranspose,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantConv3DTranspose,
    QuantDepthwiseConv1D,
    QuantDepthwiseConv2D,
    QuantSeparableConv1D,
    QuantSeparableConv2D,
)
from tfq.quantizers import DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights

pytest.importorskip("numba", reason="needs tfq[runtime]")

L = keras.layers
QUANTIZERS = {
    "xnor": (XnorInputs(), XnorWeights()),
    "a2w2": (DoReFaInputs(2), DoReFaWeights(2)),
    "ternary": (XnorInputs(), TernaryWeights()),
    "kernels": (None, TernaryWeights()),
    "float": (None, None),
}
SEQUENCE, IMAGE = (17, 5), (6, 7, 5)
SEPARABLE = (QuantSeparableConv1D, QuantSeparableConv2D)
# The class, the shape of its inputs, and options; None stands for a layer of Keras where nothing is quantized.
CASES = {
    "sequence": (QuantConv1D, SEQUENCE, {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", "pad_values": 1}),
    "sequence, valid": (QuantConv1D, SEQUENCE, {"filters": 40, "kernel_size": 4, "dilation_rate": 2}),
    "causal": (QuantConv1D, SEQUENCE, {"filters": 6, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    "causal, with -1": (QuantConv1D, SEQUENCE, {"filters": 6, "kernel_size": 3, "padding": "causal", "pad_values": -1}),
    "one cell": (QuantConv1D, SEQUENCE, {"filters": 6, "kernel_size": 1}),
    "depthwise sequence": (QuantDepthwiseConv1D, SEQUENCE, {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}),
    "depthwise": (QuantDepthwiseConv2D, IMAGE, {"kernel_size": 3, "strides": 2, "padding": "same", "pad_values": -1}),
    "separable sequence": (QuantSeparableConv1D, SEQUENCE, {"filters": 6, "kernel_size": 3, "depth_multiplier": 3}),
    "separable": (
        QuantSeparableConv2D,
        IMAGE,
        {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", "pad_values": 1, "activation": "relu"},
    ),
    "separable, valid": (QuantSeparableConv2D, IMAGE, {"filters": 6, "kernel_size": (3, 2), "use_bias": False}),
    "transposed": (QuantConv2DTranspose, IMAGE, {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same"}),
    "transposed, valid": (QuantConv2DTranspose, IMAGE, {"filters": 6, "kernel_size": (2, 3), "strides": (3, 2)}),
    "transposed, dilated": (QuantConv2DTranspose, IMAGE, {"filters": 6, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}),
    "transposed sequence": (QuantConv1DTranspose, SEQUENCE, {"filters": 6, "kernel_size": 4, "strides": 3, "padding": "same"}),
}


def quantized(kind, quantizers, **options):
    """A layer of these quantizers; of Keras itself where there are none, and no padding of tfq's own."""
    inputs, kernels = QUANTIZERS[quantizers]
    if kernels is None and not options.get("pad_values"):
        options.pop("pad_values", None)
        return kind.stock_class()(**options)
    names = ("depthwise_quantizer", "pointwise_quantizer") if kind in SEPARABLE else ("kernel_quantizer",)
    return kind(input_quantizer=inputs, **dict.fromkeys(names, kernels), **options)


def model_of(layer, shape, seed=0):
    keras.utils.set_random_seed(seed)
    x = keras.Input(shape)
    model = keras.Model(x, layer(x))
    randomize(layer)
    return model


def randomize(layer):
    """Biases are not 0."""
    rng = np.random.default_rng(0)
    if getattr(layer, "bias", None) is not None:
        *others, bias = layer.get_weights()
        layer.set_weights([*others, rng.normal(size=bias.shape).astype("float32")])


def values_of(model, images):
    return np.asarray(keras.ops.convert_to_numpy(model(images))) if hasattr(keras, "ops") else model(images).numpy()


def images_for(model, count=3):
    return np.random.default_rng(0).normal(size=(count, *model.inputs[0].shape[1:])).astype("float32")


def assert_close(found, wanted):
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-6 * max(1, np.abs(wanted).max()))


OTHERS = ("tf_keras", "jax")  # where the graph is the same code, and a sample is fast


@pytest.mark.parametrize("quantizers", sampled(QUANTIZERS, {"xnor"}, *OTHERS))
@pytest.mark.parametrize("case", sampled(CASES, {"sequence", "depthwise", "separable", "transposed"}, *OTHERS))
def test_the_graph_the_engine_and_the_way_back_compute_what_keras_does(case, quantizers):
    kind, shape, options = CASES[case]
    model = model_of(quantized(kind, quantizers, **options), shape)
    images = images_for(model)
    wanted, graph = values_of(model, images), from_keras(model)
    assert_close(reference.run(graph, images), wanted)
    assert_close(tfq.runtime.Engine(graph).predict(images), wanted)
    back = to_keras(graph)
    assert_close(values_of(back, images), wanted)
    if kind not in SEPARABLE:
        assert isinstance(back.layers[1], kind.stock_class())


# --- whole networks


def sensor_network(quantizers="xnor"):
    """A network on a sequence of 40 readings of 3 sensors: all that a `.tfq` file holds of sequences."""
    keras.utils.set_random_seed(0)
    x = keras.Input((40, 3))
    y = L.BatchNormalization()(L.Conv1D(24, 5, padding="causal", name="readings")(x))
    y = quantized(QuantConv1D, quantizers, filters=24, kernel_size=3, padding="same", pad_values=1, name="conv1")(y)
    y = L.BatchNormalization()(L.MaxPooling1D(2)(y))
    z = quantized(QuantConv1D, quantizers, filters=24, kernel_size=3, padding="causal", pad_values=-1, name="conv2")(y)
    y = L.Add()([y, L.SpatialDropout1D(0.1)(L.BatchNormalization()(z))])
    y = L.AveragePooling1D(3, 2, "valid")(L.ZeroPadding1D((1, 2))(y))
    y = quantized(QuantDepthwiseConv1D, quantizers, kernel_size=3, name="depthwise")(y)
    y = quantized(QuantSeparableConv1D, quantizers, filters=16, kernel_size=3, name="separable")(L.BatchNormalization()(y))
    y = quantized(QuantConv1DTranspose, quantizers, filters=8, kernel_size=4, strides=2, name="up")(L.BatchNormalization()(y))
    y = L.Dense(8, activation="relu")(L.Concatenate()([y, L.Dense(2)(y)]))
    y = L.Concatenate()([L.GlobalAveragePooling1D()(y), L.GlobalMaxPooling1D()(y), L.Flatten()(L.Reshape((-1, 4))(y))])
    return keras.Model(x, L.Dense(4, name="head")(y))


def autoencoder(quantizers="xnor"):
    """A network that gives an image."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 8, 3))
    y = quantized(QuantSeparableConv2D, quantizers, filters=20, kernel_size=3, strides=2, padding="same", name="down")(x)
    y = L.ReLU()(L.BatchNormalization()(y))
    y = quantized(QuantConv2DTranspose, quantizers, filters=20, kernel_size=4, strides=2, padding="same", name="up")(
        L.BatchNormalization()(y)
    )
    return keras.Model(x, L.Conv2D(3, 1, name="image")(L.BatchNormalization()(y)))


@pytest.fixture(scope="module", params=sampled([sensor_network, autoencoder], {sensor_network}, *OTHERS))
def network(request):
    """Such a network with statistics that are real."""
    model = request.param()
    images = images_for(model, 32)
    model(images, training=True)
    return model, images


def test_whole_networks_export_and_come_back(network, tmp_path):
    model, images = network
    (report,) = export.save(model, tmp_path, ["tfq"], images=images)
    engine, back = tfq.runtime.load(report.path), tfq.load_packed(report.path)
    wanted = model.predict(images, verbose=0)
    np.testing.assert_allclose(engine.predict(images), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(back.predict(images, verbose=0), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    popcounts = {name for name, path in engine.layers() if "popcount" in path}
    assert popcounts == ({"conv1", "conv2", "up"} if "conv1" in dict(engine.layers()) else {"up"})
    assert packed(back) == {name.replace("/", "_") for name in packed(model)}


def packed(model):
    return {node.name for node in from_keras(model).nodes if isinstance(getattr(node, "kernel", None), g.PackedKernel)}


def test_a_separable_layer_is_two_operations_named_after_it():
    graph = from_keras(autoencoder())
    assert [node.name for node in graph.nodes if hasattr(node, "kernel")] == ["down/depthwise", "down", "up", "image"]
    assert all(isinstance(graph.nodes[index].kernel, g.PackedKernel) for index in (0, 1))


# --- what is refused, by name


@pytest.mark.parametrize(
    "layer",
    [
        lambda: QuantConv3D(2, 2, kernel_quantizer=XnorWeights(), name="deep"),
        lambda: QuantConv3DTranspose(2, 2, kernel_quantizer=XnorWeights(), name="deep"),
        lambda: L.Conv3D(2, 2, name="deep"),
    ],
    ids=["QuantConv3D", "QuantConv3DTranspose", "Conv3D"],
)
def test_three_axes_are_refused_by_name(layer, tmp_path):
    layer = layer()
    x = keras.Input((4, 4, 4, 2))
    model = keras.Model(x, L.Dense(2)(L.Flatten()(layer(x))))
    message = rf"layer 'deep' is a {type(layer).__name__}, which has no packed form"
    with pytest.raises(export.Unsupported, match=message):
        export.check_model(model, ["tfq"])
    with pytest.raises(export.Unsupported, match=message):
        export.save(model, tmp_path, ["tfq"], images=images_for(model, 16))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", sampled(CASES, {"sequence", "depthwise", "separable", "transposed"}, *OTHERS))
def test_channels_first_is_refused_by_name(case):
    kind, shape, options = CASES[case]
    if options.get("dilation_rate", 1) != 1 and kind is QuantConv2DTranspose:
        pytest.skip("no Keras builds it")
    layer = quantized(kind, "xnor", name="turned", data_format="channels_first", **options)
    x = keras.Input((shape[-1], *shape[:-1]))
    try:
        model = keras.Model(x, layer(x))
    except Exception:  # tf_keras computes to find out the shape, and TensorFlow has no such convolution on CPUs
        pytest.skip("this Keras does not build it")
    with pytest.raises(export.Unsupported, match=r"layer 'turned' .* data_format must be 'channels_last'; got 'channels_first'"):
        from_keras(model)


# --- the other formats


def each_layer(quantizers):
    """A network of each of these layers."""
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 4))
    y = quantized(QuantConv1D, quantizers, filters=16, kernel_size=3, padding="causal", name="causal")(x)
    y = quantized(QuantDepthwiseConv1D, quantizers, kernel_size=3, padding="same", name="depthwise")(L.BatchNormalization()(y))
    y = quantized(QuantSeparableConv1D, quantizers, filters=8, kernel_size=3, name="separable1")(L.BatchNormalization()(y))
    y = quantized(QuantConv1DTranspose, quantizers, filters=24, kernel_size=4, strides=2, name="up1")(L.BatchNormalization()(y))
    y = L.Reshape((2, 11, 24))(L.BatchNormalization()(y))
    y = quantized(QuantSeparableConv2D, quantizers, filters=24, kernel_size=2, padding="same", name="separable2")(y)
    y = quantized(QuantConv2DTranspose, quantizers, filters=24, kernel_size=3, strides=2, name="up2")(L.BatchNormalization()(y))
    return keras.Model(x, L.Dense(3, name="head")(L.GlobalAveragePooling2D()(L.BatchNormalization()(y))))


@pytest.mark.tensorflow_only
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@slow_on("tf_keras")
@pytest.mark.parametrize(("quantizers", "formats"), [("xnor", ["savedmodel", "keras", "tflite"]), ("kernels", ["tflite_int8"])])
def test_the_other_formats_compute_them(quantizers, formats, tmp_path):
    """Each file is loaded again and compared with the model before it is kept."""
    model = each_layer(quantizers)
    images = images_for(model, 32)
    model(images, training=True)
    reports = {report.format: report for report in export.save(model, tmp_path, formats, images=images)}
    assert list(reports) == formats
    if "tflite" in reports:
        # Large enough for 8 bits, and with the filters in the last axis, is the pointwise kernel alone.
        kernels = {"causal", "depthwise", "up1", "up2"}
        kernels |= {f"{name}/{kind}_kernel" for name in ("separable1", "separable2") for kind in ("depthwise", "pointwise")}
        assert set(reports["savedmodel"].in_float) == kernels
        assert set(reports["tflite"].in_float) == kernels - {"separable2/pointwise_kernel"}


@pytest.mark.tensorflow_only
@slow_on("tf_keras")
@pytest.mark.parametrize("case", CASES)
def test_larq_compute_engine_has_no_binary_ones(case):
    kind, shape, options = CASES[case]
    model = model_of(quantized(kind, "xnor", name="new", **options), shape)
    with pytest.raises(export.Unsupported, match=rf"layer 'new' .* it has no binary {kind.__name__}"):
        export.check_model(model, ["lce"])


@pytest.mark.tensorflow_only
@slow_on("tf_keras")
def test_what_tensorflow_lite_has_no_form_for_is_said_by_name(tmp_path):
    kind, shape, options = CASES["transposed, dilated"]
    model = model_of(quantized(kind, "xnor", name="wide", **options), shape)
    for name in ("tflite", "tflite_int8"):
        with pytest.raises(export.Unsupported, match=r"TensorFlow Lite's converter does not take this model: layer 'wide'"):
            export.save(model, tmp_path, [name], images=images_for(model, 16))
