"""Kinds of models that users bring: BinaryNet, Sequential and subclassed ones, operators, models of larq."""

import importlib.util

import numpy as np
import pytest
from exporting import binarynet, cifar10_slice
from random_models import randomize
from running import sampled, slow_on

import tfq
from tfq import export
from tfq.backend.keras import backend, keras, ops
from tfq.convert import layers as export_layers
from tfq.convert.from_keras import from_keras
from tfq.export import binary_layers, verify
from tfq.graph import nodes as g
from tfq.layers import BatchNormalization, QuantConv2D
from tfq.quantizers import DoReFaInputs, DoReFaWeights, XnorInputs, XnorWeights

L = keras.layers
needs_runtime = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="needs tfq[runtime]")
needs_lce = pytest.mark.skipif(
    backend != "tensorflow" or importlib.util.find_spec("larq_compute_engine") is None, reason="needs larq-compute-engine"
)
keras3_only = pytest.mark.keras3_only


@pytest.fixture(scope="module")
def images():
    return cifar10_slice()[0][:128]


def agrees(model, images, directory, formats=("tfq",)):
    """Export, which compares; most images must agree to rounding. Returns the path of the first file."""
    reports = tfq.export_model(model, directory, formats, images=images)
    for report in reports:
        assert report.agreement.median_difference <= verify.TOLERANCE, report
        assert report.agreement.top1_agreement >= 0.98, report
    return reports[0].path


@needs_runtime
@pytest.mark.tensorflow_only
@slow_on("tf_keras")
def test_binarynet_agrees(images, tmp_path):
    """The real one, of 14 million weights."""
    model = binarynet(images)
    path = agrees(model, images[:32], tmp_path)
    kernels = [node.kernel for node in from_keras(model).nodes if hasattr(node, "kernel")]
    assert [kernel.coding for kernel in kernels] == ["binary"] * 9
    assert path.stat().st_size < 14_022_016 / 8 * 1.02
    # All but the first convolution, whose inputs are pixels, are computed on bits.
    paths = [path for _, path in tfq.runtime.load(path).layers()]
    assert paths[0] == "float32"
    assert all("popcount" in path for path in paths[1:])


@needs_lce
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_lce_takes_binarynet(images, tmp_path):
    """A narrow one: on the full one its converter fails."""
    model = binarynet(images, width=32)
    assert binary_layers.check(model) == 5
    agrees(model, images[:32], tmp_path, ["lce"])


# --- kinds of models


@needs_runtime
def test_sequential_exports_like_functional(images, tmp_path):
    layers = [
        L.Conv2D(8, 3, strides=2, activation="relu"),
        L.Dropout(0.5),
        BatchNormalization(),
        QuantConv2D(8, 3, input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights()),
        L.Activation("linear"),
        L.Flatten(),
        L.Dense(4),
    ]
    sequential = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    functional = keras.Model(sequential.inputs, sequential.outputs)
    assert [node.name for node in from_keras(sequential).nodes] == [node.name for node in from_keras(functional).nodes]
    agrees(sequential, images, tmp_path)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize("formats", [("tfq",), ("keras",)])
def test_models_without_a_graph_are_refused_in_a_line(formats, tmp_path):
    x = np.zeros((16, 4), "float32")
    called = Subclassed()
    called(x)
    for model, name in (
        (called, "Subclassed"),
        (keras.Sequential([L.Dense(2)]), "Sequential"),
        (L.Dense(2), "Dense"),
        (7, "int"),
    ):
        with pytest.raises(export.Unsupported, match=f"functional or a built Sequential model; got {name}") as error:
            tfq.export_model(model, tmp_path, formats, images=x)
        assert "\n" not in str(error.value)
    with pytest.raises(export.Unsupported, match="got Subclassed"):
        from_keras(called)
    inputs = keras.Input((4,))
    outer = keras.Model(inputs, called(inputs))
    with pytest.raises(export.Unsupported, match=r"layer 'subclassed\w*' is a Subclassed, which has no packed form"):
        from_keras(outer)


# --- what may stand between the layers


def pruned(layer):
    """Operations of a model of this one layer behind a convolution."""
    x = keras.Input((8, 8, 2))
    return from_keras(keras.Model(x, layer(L.Conv2D(2, 3)(x)))).nodes[1:]


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.Dropout(0.5),
        lambda: L.SpatialDropout2D(0.5),
        lambda: L.GaussianNoise(0.5),
        lambda: L.Activation("linear"),
        lambda: L.Identity(),
        lambda: L.Reshape((6, 6, 2)),
    ],
)
def test_what_does_nothing_at_inference_is_left_out(layer):
    assert pruned(layer()) == ()


@pytest.mark.parametrize("name", [name for name in export_layers._DO_NOTHING if hasattr(L, name)])
def test_what_is_left_out_gives_its_inputs_at_inference(name, images):
    """That of this Keras, whatever the value range of its images."""
    arguments = {"RandomTranslation": (0.1, 0.1), "RandomPosterization": (4,)}
    try:
        layer = getattr(L, name)(*arguments.get(name, ()))
    except TypeError:  # it has to be said how much
        layer = getattr(L, name)(0.1)
    given = images[:2].reshape(2, -1, 3) if name.endswith("1D") else images[:2, None] if name.endswith("3D") else images[:2]
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(given, training=False)), given)


def test_augmentation_in_the_model_is_left_out():
    x = keras.Input((8, 8, 3))
    y = L.RandomContrast(0.1)(L.RandomRotation(0.1)(L.RandomFlip()(x)))
    assert [type(node) for node in from_keras(keras.Model(x, L.Conv2D(2, 3)(y))).nodes] == [g.Conv2D]


@needs_runtime
@pytest.mark.parametrize(
    "quantized",
    [
        {},
        {"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights(), "kmap": True},
        {"input_quantizer": DoReFaInputs(2), "kernel_quantizer": DoReFaWeights(2)},
    ],
)
@pytest.mark.parametrize("padding", sampled([1, ((0, 1), (0, 1)), ((3, 0), (0, 2))], [((3, 0), (0, 2))], "tf_keras", "jax"))
def test_zero_padding(quantized, padding, images, tmp_path):
    """As MobileNets and ResNets of Keras pad in front of strided convolutions; the sign of a padded zero is +1."""
    x = keras.Input((32, 32, 3))
    y = L.ZeroPadding2D(padding)(BatchNormalization()(L.Conv2D(5, 3, strides=2)(x)))
    y = QuantConv2D(6, 3, strides=2, **quantized)(y)
    model = keras.Model(x, L.Dense(4)(L.Flatten()(L.ZeroPadding2D((0, 2))(y))))
    randomize(model, np.random.default_rng(0))
    agrees(model, images, tmp_path)


@needs_runtime
@keras3_only
def test_sums_by_operators(images, tmp_path):
    x = keras.Input((32, 32, 3))
    a, b = L.Conv2D(4, 3)(x), QuantConv2D(4, 3, kernel_quantizer=XnorWeights())(x)
    model = keras.Model(x, L.Dense(3)(L.GlobalAveragePooling2D()(ops.add(a + b, L.ReLU()(a)))))
    assert [type(node) for node in from_keras(model).nodes].count(g.Add) == 2
    agrees(model, images, tmp_path)


@keras3_only
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x + 1.0, r"layer 'add\w*' \(Add\) cannot be packed: it adds a constant"),
        (lambda x: x * x, r"layer 'multiply\w*' is a Multiply, which has no packed form"),
        (lambda x: ops.sigmoid(x), r"layer 'sigmoid\w*' is a Sigmoid"),
        (
            lambda x: x + L.GlobalAveragePooling2D(keepdims=True)(x),
            r"'add\w*' adds two or more tensors of one shape; got \[\(8, ",
        ),
        (lambda x: L.Softmax()(x), r"layer 'softmax\w*' is a Softmax"),
        (lambda x: L.Activation("softmax")(x), r"activation is softmax; .* let the model give logits"),
    ],
)
def test_other_operations_are_refused_by_name(function, message):
    x = keras.Input((8, 8, 2))
    with pytest.raises(export.Unsupported, match=message):
        from_keras(keras.Model(x, function(x)))


# --- larq


@pytest.mark.legacy_only
def test_layers_of_larq_are_refused_with_a_hint():
    larq = pytest.importorskip("larq")
    x = keras.Input((8, 8, 2))
    for layer, ours in (
        (larq.layers.QuantConv2D(2, 3, name="q"), "QuantConv2D"),
        (larq.layers.QuantDense(2, name="q"), "QuantDense"),
    ):
        with pytest.raises(export.Unsupported, match=rf"layer 'q' is a {ours} of larq, .* tfq\.layers\.{ours}"):
            from_keras(keras.Model(x, layer(x)))


@needs_lce
def test_lce_says_what_it_would_leave_in_float_in_a_nested_model():
    x = keras.Input((8, 8, 32))
    inner = keras.Sequential([keras.Input((8, 8, 32)), QuantConv2D(8, 3, kernel_quantizer=XnorWeights(), name="c")], name="inner")
    with pytest.raises(export.Unsupported, match="layer 'inner/c' would silently stay a float convolution"):
        binary_layers.check(keras.Model(x, inner(L.Conv2D(32, 1)(x))))
