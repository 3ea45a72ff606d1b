"""`.tfq` files as Keras models again: the same kernels, the same predictions, and the same file when exported once more."""

import dataclasses

import numpy as np
import pytest
from conftest import array
from random_models import randomize
from running import sampled
from runtime_oracle import pack, random_values

import models
import tfq
from tfq.backend.keras import is_legacy, keras
from tfq.convert import to_keras
from tfq.convert.from_keras import from_keras
from tfq.export import verify
from tfq.graph import file, operations, reference
from tfq.graph import nodes as g
from tfq.graph.kernels import values as kernel_values
from tfq.layers import QuantConv2D, QuantDense, QuantDepthwiseConv2D
from tfq.quantizers import DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights

RNG = np.random.default_rng(0)


def same(a, b):
    """Whether two attributes of operations, or kernels, are equal, arrays element by element to float32 rounding."""
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=0)
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(a))
    return a == b


METHODS = {
    "float": ("float", {}),
    "xnor": ("xnor", {}),
    "ternary": ("ternary", {}),
    "ternary_a1": ("ternary_a1", {}),
    "dorefa_a2w2": ("dorefa", {"w_bits": 2, "a_bits": 2}),
    "dorefa_a4w4": ("dorefa", {"w_bits": 4, "a_bits": 4}),
    "lsq_a2w2": ("lsq", {"w_bits": 2, "a_bits": 2}),
}


@pytest.mark.parametrize("network", sampled(models.NETWORKS, {"resnet20"}, "tf_keras", "jax"))
@pytest.mark.parametrize("method", sampled(METHODS, {"xnor", "lsq_a2w2"}, "tf_keras", "jax"))
def test_a_network_is_the_same_again(network, method, tmp_path):
    options = {"depth": 8, "width": 1} if network == "resnet20" else {}
    method, bits = METHODS[method]
    model = models.build(network, method, **bits, **options)
    randomize(model, np.random.default_rng(0))
    graph = from_keras(model)
    file.write(graph, tmp_path / "model.tfq")
    again = tfq.load_packed(tmp_path / "model.tfq")
    # Exported once more it is the same graph: operations, codes of the kernels, scales and all.
    others = {node.name: node for node in from_keras(again).nodes}
    assert len(others) == len(graph.nodes)
    for node in graph.nodes:
        other = others[node.name.replace("/", "_")]
        renamed = dataclasses.replace(other, name=node.name, inputs=node.inputs)
        assert same(node, renamed), node.name
    images = RNG.normal(size=(8, 32, 32, 3)).astype("float32")
    if network == "resnet20":
        pytest.importorskip("numba", reason="needs tfq[runtime]")
        verify.compare("again", again, tfq.runtime.load(tmp_path / "model.tfq").predict, images)
        verify.compare("again", model, lambda x: again.predict(x, verbose=0), images)


def one_convolution(kernel, **options):
    return g.Graph((5, 5, kernel.shape[2]), (g.Conv2D("conv", (g.INPUT,), kernel, **options),))


@pytest.mark.parametrize("levels_reach_one", [True, False])
@pytest.mark.parametrize("bits", [2, 5, 8, 16])
def test_levels_come_back(bits, levels_reach_one):
    """Also in a file of which no DoReFa quantizer made the kernel: that has its numbers as they are."""
    values = random_values(RNG, (3, 3, 4, 7), "levels", bits)
    top = 2**bits - 1
    values[0, 0, 0, 0] = top
    if not levels_reach_one:
        values = np.where(abs(values) == top, 1, values)
    kernel = pack(values, "levels", bits)
    layer = to_keras.to_keras(one_convolution(kernel)).layers[-1]
    assert layer.kernel_quantizer == (DoReFaWeights(bits) if levels_reach_one else None)
    np.testing.assert_allclose(array(layer.quantized_kernel), values / top, atol=1e-6)


@pytest.mark.parametrize(
    ("coding", "scale", "quantizer"),
    [
        ("binary", 0.3, XnorWeights()),
        ("binary", [0.1, -0.7, 0, 1e-3, 2, 30, 7], XnorWeights()),
        ("ternary", 0.3, TernaryWeights()),
        ("ternary", [0.1, -0.7, 0, 1e-3, 2, 30, 7], TernaryWeights(per_filter=True)),
    ],
)
def test_signs_and_scales_come_back(coding, scale, quantizer):
    kernel = pack(random_values(RNG, (3, 3, 4, 7), coding), coding, scale=scale)
    layer = to_keras.to_keras(one_convolution(kernel)).layers[-1]
    assert layer.kernel_quantizer == quantizer
    np.testing.assert_allclose(array(layer.quantized_kernel), kernel_values(kernel), rtol=1e-6)


@pytest.mark.parametrize("coding", ["binary", "ternary"])
def test_scales_of_large_kernels_come_back(coding):
    """300,000 equal values, added in float32 one after another, give a mean that is off by 1.5e-3."""
    kernel = pack(random_values(RNG, (5000, 60), coding), coding, scale=0.3)
    layer = to_keras.to_keras(g.Graph((5000,), (g.Dense("dense", (g.INPUT,), kernel),))).layers[-1]
    assert layer.kernel_quantizer is not None
    np.testing.assert_allclose(abs(array(layer.quantized_kernel)).max(), 0.3, rtol=3e-7)
    sums = np.cumsum(abs(array(layer.kernel)).astype("float32"), axis=0, dtype="float32")
    np.testing.assert_array_equal(sums[-1], abs(array(layer.kernel)).sum(axis=0, dtype="float64"))  # in whatever order


def depthwise():
    """A network of depthwise convolutions of each kind, and the quantizers of their kernels."""
    x = keras.Input((9, 8, 4))
    signs = {"input_quantizer": XnorInputs(), "kernel_quantizer": XnorWeights()}
    y = QuantDepthwiseConv2D(3, padding="same", depth_multiplier=2, pad_values=1, name="a", **signs)(x)
    y = QuantDepthwiseConv2D((3, 2), 2, kernel_quantizer=TernaryWeights(per_filter=True), activation="relu", name="b")(y)
    levels = {"input_quantizer": DoReFaInputs(2), "kernel_quantizer": DoReFaWeights(3)}
    y = QuantDepthwiseConv2D(2, padding="same", dilation_rate=2, pad_values=-1, use_bias=False, name="c", **levels)(y)
    return keras.Model(x, keras.layers.DepthwiseConv2D(2, name="d")(y))


def test_depthwise_convolutions_come_back(tmp_path):
    model, images = depthwise(), RNG.normal(size=(8, 9, 8, 4)).astype("float32")
    for weight in model.trainable_weights:
        weight.assign(RNG.normal(size=tuple(weight.shape)))
    path = tmp_path / "model.tfq"
    file.write(from_keras(model), path)
    expected = model.predict(images, verbose=0)
    again = tfq.load_packed(path)
    for name in "abcd":
        layer, twin = model.get_layer(name), again.get_layer(name)
        assert type(twin) is type(layer)
        for option in ("strides", "dilation_rate", "padding", "depth_multiplier", "use_bias", "pad_values", "input_quantizer"):
            assert getattr(twin, option, None) == getattr(layer, option, None), (name, option)
        assert getattr(twin, "kernel_quantizer", None) == getattr(layer, "kernel_quantizer", None)
    np.testing.assert_allclose(again.predict(images, verbose=0), expected, rtol=1e-5, atol=1e-5)
    pytest.importorskip("numba", reason="needs tfq[runtime]")
    np.testing.assert_allclose(tfq.runtime.load(path).predict(images), expected, rtol=1e-5, atol=1e-5)


def test_a_depthwise_convolution_that_tensorflow_lacks_comes_back_in_groups():
    kernel = g.FloatKernel(RNG.normal(size=(2, 2, 1, 6)).astype("float32"))
    nodes = (g.Conv2D("a", (g.INPUT,), kernel, strides=(1, 2), groups=3), g.Conv2D("b", ("a",), kernel, groups=6))
    model = to_keras.to_keras(g.Graph((5, 5, 3), nodes))
    assert [type(layer) for layer in model.layers[1:]] == [keras.layers.Conv2D, keras.layers.DepthwiseConv2D]


def test_what_is_not_quantized_becomes_layers_of_keras_and_the_rest_ours():
    floating = g.FloatKernel(RNG.normal(size=(3, 3, 2, 4)).astype("float32"))
    nodes = (
        g.Conv2D("a/b c", (g.INPUT,), floating),
        g.Conv2D("a_b_c", ("a/b c",), g.FloatKernel(np.ones((1, 1, 4, 4), "float32")), quantizer=g.Levels(3)),
        g.GlobalMaxPool("\u00e9", ("a_b_c",)),
        g.Dense("input_", ("\u00e9",), g.FloatKernel(np.ones((4, 3), "float32")), bias=np.arange(3, dtype="float32")),
        g.Dense("out", ("input_",), pack(random_values(RNG, (3, 2), "binary"), "binary")),
    )
    model = to_keras.to_keras(g.Graph((6, 6, 2), nodes))
    assert [type(layer) for layer in model.layers[1:]] == [
        keras.layers.Conv2D,
        QuantConv2D,
        keras.layers.GlobalMaxPooling2D,
        keras.layers.Dense,
        QuantDense,
    ]
    # Names that backends do not take, or that two have, are changed.
    assert [layer.name for layer in model.layers] == ["input", "a_b_c", "a_b_c_2", "layer__", "input_", "out"]
    assert model.layers[2].input_quantizer == DoReFaInputs(3)


@pytest.mark.skipif(is_legacy, reason="hard_tanh of tf_keras is that of larq")
def test_scale_and_shift_are_exact():
    scale, shift = (RNG.normal(size=5).astype("float32") for _ in range(2))
    model = to_keras.to_keras(g.Graph((5,), (g.ScaleShift("bn", (g.INPUT,), scale, shift), g.HardTanh("t", ("bn",)))))
    x = RNG.normal(size=(20, 5)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), np.clip(x * scale + shift, -1, 1), atol=1e-6)
    (node, _) = from_keras(model).nodes
    np.testing.assert_array_equal(node.scale, scale)
    np.testing.assert_array_equal(node.shift, shift)


def test_integers_come_back_as_what_computes_the_same():
    values = random_values(RNG, (3, 3, 4, 7), "integer", 4)
    kernel = pack(values, "integer", 4, RNG.uniform(0.1, 1, 7))
    graph = one_convolution(kernel, quantizer=g.Levels(3))
    images = RNG.normal(size=(2, 5, 5, 4)).astype("float32")
    found = to_keras.to_keras(graph).predict(images, verbose=0)
    np.testing.assert_allclose(found, reference.run(graph, images), rtol=1e-5, atol=1e-5)


@operations.register_operation
@dataclasses.dataclass(frozen=True)
class Negative(g.Node):
    """An operation of one's own."""

    def infer(self, shapes):
        return shapes[0]

    def compute(self, x):
        return -x


def test_an_operation_without_a_layer_is_refused_by_name():
    with pytest.raises(TypeError, match="operation 'minus' is a Negative, of which no layer of Keras is known"):
        to_keras.to_keras(g.Graph((4,), (Negative("minus", (g.INPUT,)),)))


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "model.tfq").write_text("nothing of the kind")
    with pytest.raises(file.FileError, match=r"model\.tfq is not a \.tfq file"):
        tfq.load_packed(tmp_path / "model.tfq")
