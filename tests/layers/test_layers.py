"""Quantized layers: the Keras layer on quantized operands, to the bit; padding and K against NumPy; gradients of k bits."""

from functools import partial

import numpy as np
import pytest
from conftest import array, compiled, gradient, layer_vjp, tensor

from tfq import layers, quantizers
from tfq.backend.keras import backend, is_legacy, keras, ops
from tfq.constraints import WeightClip
from tfq.layers import QuantActivation, QuantConv2D, QuantDense, QuantDepthwiseConv2D, QuantGradient
from tfq.layers.kernels import latent_kernel
from tfq.quantizers import DoReFaGradients, DoReFaInputs, DoReFaWeights, TernaryWeights, XnorInputs, XnorWeights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 7, 8, 4)).astype("float32")
FLAT = RNG.normal(size=(4, 6)).astype("float32")

PAIRS = [(XnorWeights(), XnorInputs()), (TernaryWeights(), None), (DoReFaWeights(2), DoReFaInputs(2)), (None, XnorInputs())]


def build(cls, *args, shape=X.shape, **options):
    """A built layer with reproducible weights, its bias not zero."""
    keras.utils.set_random_seed(1)
    layer = cls(*args, **options)
    layer.build((None, *shape[1:]))
    if layer.use_bias:
        layer.bias.assign(np.linspace(-1, 1, layer.bias.shape[0]))
    return layer


def upstream_for(layer, x):
    return np.random.default_rng(2).normal(size=tuple(layer(tensor(x)).shape)).astype("float32")


def assert_same_layer(ours, stock, x, assert_equal=np.testing.assert_array_equal):
    """The same weights, outputs and gradients of inputs and weights."""
    for a, b in zip(ours.weights, stock.weights, strict=True):
        np.testing.assert_array_equal(array(a), array(b))
    upstream = upstream_for(stock, x)
    output, gradients = layer_vjp(ours, x, upstream)
    expected, expected_gradients = layer_vjp(stock, x, upstream)
    for a, b in zip([output, *gradients], [expected, *expected_gradients], strict=True):
        assert_equal(a, b)


# --- without quantizers, and against the stock layer fed quantized operands


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "same", "strides": 2, "use_bias": False},
        {"padding": "same", "dilation_rate": 2, "activation": "relu"},
        {"groups": 2, "padding": "same", "kernel_initializer": "he_normal", "name": "grouped"},
    ],
)
def test_convolution_without_quantizers_is_that_of_keras(options):
    ours, stock = build(QuantConv2D, 6, 3, **options), build(keras.layers.Conv2D, 6, 3, **options)
    assert_same_layer(ours, stock, X)


@pytest.mark.parametrize(
    "options",
    [
        {"depth_multiplier": 2, "activation": "relu"},
        {"padding": "same", "strides": 2, "use_bias": False, "depthwise_initializer": "he_normal"},
    ],
)
def test_depthwise_convolution_without_quantizers_is_that_of_keras(options):
    ours, stock = build(QuantDepthwiseConv2D, 3, **options), build(keras.layers.DepthwiseConv2D, 3, **options)
    assert_same_layer(ours, stock, X)


@pytest.mark.parametrize("options", [{}, {"activation": "relu"}, {"use_bias": False}])
def test_dense_without_quantizers_is_that_of_keras(options):
    ours, stock = (build(cls, 5, shape=FLAT.shape, **options) for cls in (QuantDense, keras.layers.Dense))
    assert_same_layer(ours, stock, FLAT)


def assert_quantizes_operands(ours, stock, x):
    """`ours` is `stock` with the kernel and the inputs quantized by hand, and so are its gradients."""
    if ours.kernel_quantizer is not None:
        latent_kernel(stock).assign(ours.kernel_quantizer(tensor(array(ours.latent_kernel)), **ours.kernel_arguments))
    inputs = x if ours.input_quantizer is None else array(ours.input_quantizer(tensor(x)))
    upstream = upstream_for(ours, x)
    output, (by_x, by_kernel, by_bias) = layer_vjp(ours, x, upstream)
    expected, (by_inputs, by_quantized, expected_by_bias) = layer_vjp(stock, inputs, upstream)
    # The same ops on the same operands; only the surrogates of the quantizers come on top. XLA may fuse: a few units.
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if backend == "jax" else {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(output, expected, **tolerance)
    np.testing.assert_allclose(by_bias, expected_by_bias, **tolerance)
    if ours.input_quantizer is not None:
        by_inputs = gradient(ours.input_quantizer, x, by_inputs)
    np.testing.assert_allclose(by_x, by_inputs, **tolerance)
    if ours.kernel_quantizer is not None:
        quantizer = partial(ours.kernel_quantizer, **ours.kernel_arguments)
        by_quantized = gradient(quantizer, array(ours.latent_kernel), by_quantized)
    np.testing.assert_allclose(by_kernel, by_quantized, **tolerance)


@pytest.mark.parametrize(("kernel_quantizer", "input_quantizer"), PAIRS)
def test_convolution_quantizes_its_operands(kernel_quantizer, input_quantizer):
    options = {"padding": "same", "strides": 2}
    ours = build(QuantConv2D, 5, 3, kernel_quantizer=kernel_quantizer, input_quantizer=input_quantizer, **options)
    assert_quantizes_operands(ours, build(keras.layers.Conv2D, 5, 3, **options), X)


@pytest.mark.parametrize(("kernel_quantizer", "input_quantizer"), [*PAIRS, (TernaryWeights(per_filter=True), None)])
def test_depthwise_convolution_quantizes_its_operands(kernel_quantizer, input_quantizer):
    options = {"padding": "same", "strides": 2, "depth_multiplier": 2}
    ours = build(QuantDepthwiseConv2D, 3, kernel_quantizer=kernel_quantizer, input_quantizer=input_quantizer, **options)
    assert_quantizes_operands(ours, build(keras.layers.DepthwiseConv2D, 3, **options), X)


@pytest.mark.parametrize(("kernel_quantizer", "input_quantizer"), PAIRS)
def test_dense_quantizes_its_operands(kernel_quantizer, input_quantizer):
    ours = build(QuantDense, 5, shape=FLAT.shape, kernel_quantizer=kernel_quantizer, input_quantizer=input_quantizer)
    assert_quantizes_operands(ours, build(keras.layers.Dense, 5, shape=FLAT.shape), FLAT)


def test_quantized_dense_applies_bias_and_activation():
    layer = build(QuantDense, 5, shape=FLAT.shape, kernel_quantizer="xnor_weights", activation="relu")
    expected = FLAT @ array(layer.quantized_kernel) + array(layer.bias)
    np.testing.assert_allclose(array(layer(tensor(FLAT))), np.maximum(expected, 0), rtol=1e-5, atol=1e-6)


def test_quantized_kernel_and_latent_kernel():
    layer = build(QuantConv2D, 5, 3, kernel_quantizer="xnor_weights")
    latent = array(layer.kernel)
    np.testing.assert_array_equal(array(layer.quantized_kernel), array(XnorWeights()(tensor(latent))))
    assert len(np.unique(latent)) > len(np.unique(array(layer.quantized_kernel))) == 10
    np.testing.assert_array_equal(array(build(QuantConv2D, 5, 3).quantized_kernel), latent)


def test_any_callable_may_quantize():
    layer = build(QuantConv2D, 5, 3, kernel_quantizer=lambda w: 2 * w)
    np.testing.assert_array_equal(array(layer.quantized_kernel), 2 * array(layer.kernel))


def test_activation():
    layer = QuantActivation("xnor_inputs")
    np.testing.assert_array_equal(array(layer(tensor(X))), np.where(X >= 0, 1, -1))
    assert layer.compute_output_shape((None, 3)) == (None, 3)
    np.testing.assert_array_equal(array(QuantActivation(None)(tensor(X))), X)


# --- padding and K, against NumPy


def same_padding(length, kernel, stride, dilation):
    """As TensorFlow defines it: the odd cell behind."""
    out = -(-length // stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - length, 0)
    return total // 2, total - total // 2


class SeenSigns(quantizers.InputQuantizer):
    """Signs; notes the shapes of what it is called with."""

    bits = 1

    def __init__(self, is_elementwise):
        self.is_elementwise, self.seen = is_elementwise, []

    def __call__(self, x):
        self.seen.append(tuple(x.shape[1:]))
        return XnorInputs()(x)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_what_a_convolution_of_one_cell_strides_over_is_not_quantized_in_training(padding):
    found = []
    for is_elementwise, seen in ((True, (4, 3, 4)), (False, (7, 8, 4))):
        signs = SeenSigns(is_elementwise)
        options = {"strides": (2, 3), "padding": padding, "input_quantizer": signs, "kernel_quantizer": TernaryWeights()}
        layer = build(QuantConv2D, 3, 1, **options)
        layer(tensor(X), training=False)
        assert set(signs.seen) == {(7, 8, 4)}
        signs.seen.clear()
        output, gradients = layer_vjp(layer, X, np.random.default_rng(2).normal(size=(4, 4, 3, 3)).astype("float32"))
        assert set(signs.seen) == {seen}
        found.append([output, *gradients])
    for skipped, whole in zip(*found, strict=True):
        np.testing.assert_allclose(skipped, whole, rtol=1e-6, atol=1e-6)
    assert not found[0][1][:, 1::2].any()


@pytest.mark.parametrize(
    ("cls", "shape", "options"), [(layers.QuantConv1D, (2, 7, 4), {"groups": 2}), (layers.QuantConv3D, (1, 3, 4, 5, 2), {})]
)
def test_of_other_ranks_it_is_left_out_too(cls, shape, options):
    x = RNG.normal(size=shape).astype("float32")
    layer = build(cls, 4, 1, strides=2, input_quantizer=XnorInputs(), kernel_quantizer=XnorWeights(), shape=shape, **options)
    np.testing.assert_allclose(array(layer(tensor(x), training=True)), array(layer(tensor(x), training=False)), rtol=1e-6)


def test_a_convolution_of_several_cells_quantizes_all():
    signs = SeenSigns(True)
    layer = build(QuantConv2D, 3, 2, strides=2, input_quantizer=signs)
    layer(tensor(X), training=True)
    assert set(signs.seen) == {(7, 8, 4)}


def convolve(x, kernel, strides, dilation, padding, pad_value):
    """Cross-correlation in float64, position by position; x (N, H, W, C), kernel (h, w, C, F)."""
    kh, kw = kernel.shape[:2]
    if padding == "same":
        widths = [same_padding(x.shape[1 + i], kernel.shape[i], strides[i], dilation[i]) for i in (0, 1)]
        x = np.pad(x, [(0, 0), *widths, (0, 0)], constant_values=pad_value)
    rows = (x.shape[1] - (kh - 1) * dilation[0] - 1) // strides[0] + 1
    columns = (x.shape[2] - (kw - 1) * dilation[1] - 1) // strides[1] + 1
    out = np.zeros((len(x), rows, columns, kernel.shape[3]))
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilation[0], j * dilation[1]
            taps = x[:, top : top + rows * strides[0] : strides[0], left : left + columns * strides[1] : strides[1]]
            out += taps[:, :rows, :columns].astype("float64") @ kernel[i, j].astype("float64")
    return out


GEOMETRIES = [
    # kernel size, strides, dilation, height and width
    ((3, 3), (1, 1), (1, 1), (5, 6)),
    ((3, 3), (2, 2), (1, 1), (6, 7)),
    ((2, 5), (2, 1), (1, 1), (7, 8)),
    ((3, 2), (1, 1), (2, 3), (7, 8)),
    ((1, 1), (2, 2), (1, 1), (6, 5)),  # windows that skip cells: no padding at all
    ((3, 3), (4, 3), (1, 1), (9, 4)),
]


@pytest.mark.parametrize("pad_values", [0, 1, -1])
@pytest.mark.parametrize(("kernel_size", "strides", "dilation", "size"), GEOMETRIES)
def test_pad_values_surround_the_quantized_inputs(kernel_size, strides, dilation, size, pad_values):
    x = np.random.default_rng(3).normal(size=(2, *size, 4)).astype("float32")
    layer = build(
        QuantConv2D,
        3,
        kernel_size,
        strides,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        input_quantizer="xnor_inputs",
        pad_values=pad_values,
        shape=x.shape,
    )
    expected = convolve(np.where(x >= 0, 1, -1), array(layer.kernel), strides, dilation, "same", pad_values)
    # Sums of up to 40 terms below 1 in float32.
    np.testing.assert_allclose(array(layer(tensor(x))), expected, rtol=1e-5, atol=1e-5)
    assert tuple(layer.compute_output_shape((None, *size, 4)))[1:] == expected.shape[1:]


@pytest.mark.parametrize(
    ("pad_values", "padding", "options"),
    [
        (0, "valid", {"strides": 2}),
        (0, "same", {}),
        (1, "same", {"dilation_rate": (2, 3)}),
        (-1, "same", {"strides": 2, "data_format": "channels_first"}),
    ],
)
def test_depthwise_convolution_moves_each_filter_over_its_channel(pad_values, padding, options):
    """Against NumPy: the kernel, with one scale for each channel and filter, and what surrounds the quantized inputs."""
    is_first = options.get("data_format") == "channels_first"
    layer = build(
        QuantDepthwiseConv2D,
        (3, 2),
        padding=padding,
        depth_multiplier=2,
        input_quantizer="xnor_inputs",
        kernel_quantizer="xnor_weights",
        pad_values=pad_values,
        shape=X.transpose(0, 3, 1, 2).shape if is_first else X.shape,
        **options,
    )
    latent = array(layer.latent_kernel)
    kernel = np.where(latent >= 0, 1, -1) * np.abs(latent).mean(axis=(0, 1))
    signs, geometry = np.where(X >= 0, 1, -1), (layer.strides, layer.dilation_rate, padding, pad_values)
    channels = [convolve(signs[..., c : c + 1], kernel[:, :, c : c + 1], *geometry) for c in range(4)]
    outputs = array(layer(tensor(X.transpose(0, 3, 1, 2) if is_first else X)))
    expected = np.concatenate(channels, axis=-1) + array(layer.bias)
    np.testing.assert_allclose(outputs.transpose(0, 2, 3, 1) if is_first else outputs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pad_values", [0, 1, -1])
def test_pad_values_with_channels_first(pad_values):
    options = {"padding": "same", "input_quantizer": "xnor_inputs", "pad_values": pad_values, "use_bias": False, "kmap": True}
    last = build(QuantConv2D, 3, 3, **options)
    first = build(QuantConv2D, 3, 3, **options, data_format="channels_first", shape=(4, 4, 7, 8))
    first.kernel.assign(last.kernel)
    output = array(first(tensor(X.transpose(0, 3, 1, 2))))
    np.testing.assert_allclose(output.transpose(0, 2, 3, 1), array(last(tensor(X))), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strides", [1, 2])
def test_pad_values_with_unknown_sizes(strides):
    layer = QuantConv2D(3, 3, strides, padding="same", pad_values=1, input_quantizer="xnor_inputs", kmap=True)
    signs = QuantDepthwiseConv2D(3, strides, padding="same", pad_values=-1, input_quantizer="xnor_inputs")
    model = keras.Sequential([keras.Input((None, None, 4)), layer, signs])
    known = keras.Sequential([keras.Input(X.shape[1:]), *(type(each).from_config(each.get_config()) for each in (layer, signs))])
    known.set_weights(model.get_weights())
    assert tuple(model.outputs[0].shape) == (None, None, None, 3)
    np.testing.assert_allclose(model.predict(X, verbose=0), known.predict(X, verbose=0), rtol=1e-5, atol=1e-5)


def kmap_oracle(x, kernel_size, strides, dilation, padding, pad_value):
    """XNOR-Net, equation 11: the box filter 1/(wh) over the channel mean of |x|."""
    magnitude = np.abs(x).mean(-1, keepdims=True, dtype="float64")
    return convolve(
        magnitude, np.full((*kernel_size, 1, 1), 1 / np.prod(kernel_size)), strides, dilation, padding, abs(pad_value)
    )


def kmap_layer(kernel_size, strides, dilation, padding, pad_values, shape):
    return build(
        QuantConv2D,
        3,
        kernel_size,
        strides,
        padding=padding,
        dilation_rate=dilation,
        input_quantizer="xnor_inputs",
        kernel_quantizer="xnor_weights",
        pad_values=pad_values,
        kmap=True,
        shape=shape,
    )


@pytest.mark.parametrize(("padding", "pad_values"), [("valid", 0), ("same", 0), ("same", 1), ("same", -1)])
@pytest.mark.parametrize(("kernel_size", "strides", "dilation", "size"), GEOMETRIES[:4])
def test_kmap(kernel_size, strides, dilation, size, padding, pad_values):
    x = np.random.default_rng(3).normal(size=(2, *size, 4)).astype("float32")
    layer = kmap_layer(kernel_size, strides, dilation, padding, pad_values, x.shape)
    geometry = (strides, dilation, padding, pad_values)
    product = convolve(np.where(x >= 0, 1, -1), array(layer.quantized_kernel), *geometry)
    expected = product * kmap_oracle(x, kernel_size, *geometry) + array(layer.bias)  # the bias comes after K
    np.testing.assert_allclose(array(layer(tensor(x))), expected, rtol=1e-5, atol=1e-5)


def test_kmap_is_differentiated_through_the_magnitude():
    # Beyond 1 the sign has no gradient, so all that arrives at x comes through K: differences can check it.
    x = (np.sign(X) * (np.abs(X) + 1.1))[:2, :4, :5].astype("float32")
    layer = kmap_layer((3, 3), (2, 1), (1, 1), "same", 0, x.shape)
    upstream = upstream_for(layer, x)
    geometry = ((2, 1), (1, 1), "same", 0)
    product = convolve(np.where(x >= 0, 1, -1), array(layer.quantized_kernel), *geometry)

    def loss(x):
        return np.sum(upstream * product * kmap_oracle(x, (3, 3), *geometry))

    by_x = layer_vjp(layer, x, upstream)[1][0]
    for index in [(0, 0, 0, 0), (0, 1, 2, 3), (1, 3, 4, 1), (1, 2, 0, 2)]:
        step = np.zeros(x.shape)
        step[index] = 1e-4
        # K is linear in |x| on each side of 0: the difference is exact but for rounding.
        np.testing.assert_allclose(by_x[index], (loss(x + step) - loss(x - step)) / 2e-4, rtol=1e-4, atol=1e-5)


# --- gradients of k bits


def gradient_layer(cls=QuantConv2D, bits=4, seed=5, **options):
    options = {"padding": "same", "name": "conv"} | options if cls is QuantConv2D else options
    args, shape = ((5, 3), X.shape) if cls is QuantConv2D else ((5,), FLAT.shape)
    quantizer = DoReFaGradients(bits, seed=seed)
    return build(cls, *args, gradient_quantizer=quantizer, kernel_quantizer="xnor_weights", shape=shape, **options)


def counter(layer):
    return int(array(layer.non_trainable_weights[0])[1])


@pytest.mark.parametrize(
    ("cls", "stock_cls", "x"), [(QuantConv2D, keras.layers.Conv2D, X), (QuantDense, keras.layers.Dense, FLAT)]
)
def test_all_gradients_are_computed_from_the_quantized_one(cls, stock_cls, x):
    ours = gradient_layer(cls)
    stock = build(stock_cls, *((5, 3) if x is X else (5,)), shape=x.shape, **({"padding": "same"} if x is X else {}))
    stock.kernel.assign(ours.quantized_kernel)
    key, upstream = array(ours.non_trainable_weights[0]), upstream_for(stock, x)
    quantized = gradient(lambda y: ours.gradient_quantizer(y, tensor(key, "int32")), np.zeros_like(upstream), upstream)
    assert np.abs(quantized - upstream).max() > 0.01
    output, (by_x, by_kernel, by_bias) = layer_vjp(ours, x, upstream)
    expected, (expected_by_x, by_quantized, expected_by_bias) = layer_vjp(stock, x, quantized)
    np.testing.assert_array_equal(output, expected)
    # The same products of the same operands; XLA may sum in another order.
    for a, b in [
        (by_x, expected_by_x),
        (by_bias, expected_by_bias),
        (by_kernel, gradient(ours.kernel_quantizer, array(ours.kernel), by_quantized)),
    ]:
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_the_counter_advances_in_training_only():
    layer = gradient_layer()
    start = counter(layer)
    layer(tensor(X))
    layer(tensor(X), training=False)
    assert counter(layer) == start
    layer_vjp(layer, X, upstream_for(layer, X))
    assert counter(layer) == start + 1
    layer_vjp(layer, X, upstream_for(layer, X), training=False)
    assert counter(layer) == start + 1


def test_in_inference_the_gradient_is_not_touched():
    ours, stock = gradient_layer(), build(QuantConv2D, 5, 3, padding="same", kernel_quantizer="xnor_weights")
    upstream = upstream_for(stock, X)
    for a, b in zip(layer_vjp(ours, X, upstream, training=False)[1], layer_vjp(stock, X, upstream)[1], strict=True):
        np.testing.assert_array_equal(a, b)


def noise(layer):
    """The gradient of the bias: the sum of the quantized gradients, noise and all."""
    return layer_vjp(layer, X, np.random.default_rng(6).normal(size=(4, 7, 8, 5)))[1][2]


def test_noise_differs_from_step_to_step_and_from_layer_to_layer_and_repeats_with_the_seed():
    one, again, other = gradient_layer(), gradient_layer(), gradient_layer(name="other")
    first, second = noise(one), noise(one)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(noise(again), first)
    np.testing.assert_array_equal(noise(again), second)
    assert not np.array_equal(noise(other), first)
    assert not np.array_equal(noise(gradient_layer(seed=6)), first)


def test_noise_without_a_seed_follows_the_seed_of_keras():
    # `build` seeds Keras, and so do these two, differently.
    first, same = gradient_layer(seed=None), gradient_layer(seed=None)
    np.testing.assert_array_equal(noise(first), noise(same))
    keras.utils.set_random_seed(2)
    other = QuantConv2D(5, 3, padding="same", gradient_quantizer=DoReFaGradients(4))
    other.build(X.shape)
    assert not np.array_equal(array(other.non_trainable_weights[0]), array(same.non_trainable_weights[0]))


def test_32_bit_gradients_add_nothing():
    layer = gradient_layer(bits=32)
    assert len(layer.non_trainable_weights) == 0
    assert_same_layer(layer, build(QuantConv2D, 5, 3, padding="same", kernel_quantizer="xnor_weights"), X)


def trained_model():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            keras.layers.Conv2D(4, 3, name="first"),
            QuantConv2D(
                6,
                3,
                name="middle",
                input_quantizer=DoReFaInputs(2),
                kernel_quantizer=DoReFaWeights(1),
                gradient_quantizer=DoReFaGradients(4),
            ),
            layers.BatchNormalization(name="bn"),
            keras.layers.Flatten(name="flatten"),
            QuantDense(
                5,
                name="dense",
                kernel_quantizer="xnor_weights",
                gradient_quantizer=DoReFaGradients(6),
                kernel_constraint="weight_clip",
            ),
            QuantGradient(DoReFaGradients(8), name="gradient"),
            keras.layers.Dense(3, name="last"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


TARGETS = np.random.default_rng(7).normal(size=(16, 3)).astype("float32")
IMAGES = np.random.default_rng(8).normal(size=(16, *X.shape[1:])).astype("float32")


def fit(model, epochs=1):
    model.fit(IMAGES, TARGETS, batch_size=4, epochs=epochs, shuffle=False, verbose=0)
    return [array(w) for w in model.weights]


@pytest.mark.parametrize("suffix", [".keras", pytest.param(".h5", marks=pytest.mark.legacy_only)])
def test_training_goes_on_after_loading_as_if_never_stopped(tmp_path, suffix):
    model = trained_model()
    start = [array(w) for w in model.weights]
    fit(model)
    model.save(tmp_path / f"model{suffix}")
    straight = fit(model)
    resumed = fit(keras.models.load_model(tmp_path / f"model{suffix}"))
    for a, b, c in zip(straight, resumed, start, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()
        assert not np.array_equal(a, c)  # everything moved, the keys too


def test_evaluation_leaves_the_noise_alone():
    model, other = trained_model(), trained_model()
    fit(model)
    fit(other)
    model.evaluate(IMAGES, TARGETS, verbose=0)
    model.predict(IMAGES, verbose=0)
    for a, b in zip(fit(model), fit(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradient_noise_reaches_training():
    model, plain = trained_model(), trained_model()
    for name in ("middle", "dense"):
        plain.get_layer(name)._quantize_gradient = None
    kernels = [array(m.get_layer("first").kernel) for m in (model, plain) if fit(m)]
    assert not np.array_equal(*kernels)


# --- constraint, precision, errors


def test_weight_clip_is_the_constraint_of_a_depthwise_kernel():
    layer = build(QuantDepthwiseConv2D, 3, depthwise_constraint="weight_clip", kernel_quantizer="xnor_weights")
    assert isinstance(layer.depthwise_constraint, WeightClip)
    assert QuantDepthwiseConv2D.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("identifier", ["weight_clip", WeightClip(), WeightClip(1.0)])
def test_weight_clip_bounds_latent_weights(identifier):
    layer = build(QuantConv2D, 5, 3, kernel_constraint=identifier)
    assert isinstance(layer.kernel_constraint, WeightClip)
    model = keras.Sequential([keras.Input(X.shape[1:]), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(100.0), "mse")
    model.fit(X, np.full((4, 1), 50.0), batch_size=4, verbose=0)
    assert np.abs(array(layer.kernel)).max() == 1


def test_weight_clip_options():
    np.testing.assert_array_equal(array(WeightClip(0.5)(tensor([-2, -0.5, 0.25, 3]))), [-0.5, -0.5, 0.25, 0.5])
    assert WeightClip.from_config(WeightClip(0.5).get_config()).clip_value == 0.5
    with pytest.raises(ValueError, match="clip_value must be above 0; got clip_value=0"):
        WeightClip(0)
    for value in ("1", True, None, np.nan, [1]):
        with pytest.raises(ValueError, match="clip_value must be above 0; got clip_value="):
            WeightClip(value)
    assert WeightClip(np.float32(0.5)).get_config() == {"clip_value": 0.5}
    assert isinstance(build(QuantConv2D, 5, 3, kernel_constraint="NonNeg").kernel_constraint, keras.constraints.NonNeg)


@pytest.mark.parametrize("quantizer", [XnorWeights(), DoReFaWeights(8), TernaryWeights()])
@pytest.mark.parametrize(("cls", "args", "x"), [(QuantConv2D, (3, 3), X), (QuantDense, (3,), FLAT)])
def test_mixed_precision_quantizes_the_float32_kernel(quantizer, cls, args, x):
    seen = []

    def record(w):
        seen.append(w)
        return quantizer(w)

    layer = build(cls, *args, dtype="mixed_bfloat16", kernel_quantizer=record, input_quantizer="xnor_inputs", shape=x.shape)
    output = layer(tensor(x, "bfloat16"))
    assert "bfloat16" in str(output.dtype)
    assert "float32" in str(seen[-1].dtype)
    kernel = layer.kernel if is_legacy else layer.kernel.value
    np.testing.assert_array_equal(array(seen[-1]), array(kernel))
    # What the convolution sees is the float32 result rounded once to bfloat16.
    once = array(tensor(array(quantizer(tensor(array(kernel)))), "bfloat16"))
    stock = build({QuantConv2D: keras.layers.Conv2D, QuantDense: keras.layers.Dense}[cls], *args, shape=x.shape)
    stock.kernel.assign(once)
    exact = array(stock(tensor(np.where(x >= 0, 1, -1))))
    # bfloat16 keeps 8 bits of the result: half a unit is 2^-9, and the bias adds a second rounding.
    np.testing.assert_allclose(array(output), exact, rtol=2**-7, atol=2**-7 * np.abs(exact).max())


def test_mixed_precision_trains_with_quantized_gradients():
    layer = build(
        QuantConv2D,
        3,
        3,
        dtype="mixed_bfloat16",
        kernel_quantizer=DoReFaWeights(8),
        gradient_quantizer=DoReFaGradients(8, seed=1),
    )
    model = keras.Sequential([keras.Input(X.shape[1:]), layer, keras.layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse")
    before = array(layer.kernel)
    model.fit(X, TARGETS[:4], verbose=0)
    assert np.isfinite(array(layer.kernel)).all()
    assert not np.array_equal(array(layer.kernel), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pad_values": 2}, "pad_values must be 0, 1 or -1; got pad_values=2"),
        ({"pad_values": "same"}, "pad_values must be 0, 1 or -1; got pad_values='same'"),
        ({"pad_values": 1}, "pad_values=1 needs padding='same' or 'causal'; got padding='valid'"),
        ({"kmap": True}, "kmap=True scales quantized inputs, but input_quantizer is None"),
        ({"kmap": True, "groups": 3, "input_quantizer": "xnor_inputs"}, "kmap=True needs groups=1; got groups=3"),
        ({"kernel_quantizer": "xnor"}, "unknown quantizer 'xnor'"),
        ({"input_quantizer": 3}, "expected a quantizer.* got 3"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        QuantConv2D(3, 3, **options)


@pytest.mark.parametrize("quantizer", [XnorWeights(), TernaryWeights(), DoReFaWeights(2)])
def test_layers_compile(quantizer):
    layer = build(
        QuantConv2D, 5, 3, padding="same", kernel_quantizer=quantizer, input_quantizer="xnor_inputs", pad_values=1, kmap=True
    )
    # A compiled graph may sum in another order, and multiplies by 1/n: float32 rounding.
    np.testing.assert_allclose(array(compiled(layer)(tensor(X))), array(layer(tensor(X))), rtol=1e-4, atol=1e-5)


def test_zero_padding_is_not_a_binary_value():
    """What `pad_values` is for: with 0 the border sums differ in parity from the middle."""
    layer = build(QuantConv2D, 1, 3, padding="same", use_bias=False, input_quantizer="xnor_inputs", kernel_initializer="ones")
    with_zeros = array(layer(tensor(X[..., :4])))
    layer = build(
        QuantConv2D, 1, 3, padding="same", use_bias=False, input_quantizer="xnor_inputs", kernel_initializer="ones", pad_values=1
    )
    with_ones = array(layer(tensor(X[..., :4])))
    np.testing.assert_array_equal(with_zeros[:, 1:-1, 1:-1], with_ones[:, 1:-1, 1:-1])
    np.testing.assert_array_equal(with_ones[:, 0, 1:-1] - with_zeros[:, 0, 1:-1], 12)  # three taps of four channels
    np.testing.assert_array_equal(with_ones[:, 0, 0] - with_zeros[:, 0, 0], 20)


def test_config_round_trip():
    layer = QuantConv2D(
        3, 3, padding="same", input_quantizer="xnor_inputs", kernel_quantizer=TernaryWeights(per_filter=True),
        gradient_quantizer=DoReFaGradients(6, seed=2), pad_values=-1, kmap=True, kernel_constraint="weight_clip",
    )  # fmt: skip
    again = QuantConv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.input_quantizer == XnorInputs()
    assert again.kernel_quantizer == TernaryWeights(per_filter=True)
    assert again.gradient_quantizer == DoReFaGradients(6, seed=2)
    assert (again.pad_values, again.kmap) == (-1, True)
    assert isinstance(again.kernel_constraint, WeightClip)
    assert quantizers.get(QuantActivation("xnor_inputs").get_config()["input_quantizer"]) == XnorInputs()


def test_one_quantizer_may_serve_many_layers():
    shared = DoReFaGradients(4, seed=1)
    first, second = (build(QuantConv2D, 5, 3, padding="same", gradient_quantizer=shared, name=name) for name in "ab")
    assert not np.array_equal(noise(first), noise(second))


def test_ops_come_from_the_backend():
    assert ops.shape(tensor(X)) == X.shape


@pytest.mark.parametrize("quantizer", [XnorInputs(), DoReFaInputs(2)])
def test_a_quantizer_of_something_else_in_the_place_of_gradients_is_said(quantizer):
    with pytest.raises(ValueError, match=r"gradient_quantizer must quantize gradients.*; got (XnorInputs|DoReFaInputs)\("):
        QuantDense(3, gradient_quantizer=quantizer)


@pytest.mark.parametrize("quantizer", [XnorWeights(), TernaryWeights(), DoReFaWeights(2), DoReFaGradients(2)])
@pytest.mark.parametrize("layer", [partial(QuantConv2D, 3, 3), partial(QuantDense, 3), QuantActivation])
def test_a_quantizer_of_something_else_in_the_place_of_inputs_is_said(layer, quantizer):
    with pytest.raises(ValueError, match=rf"input_quantizer must .*; got {type(quantizer).__name__}\("):
        layer(input_quantizer=quantizer)


def test_a_quantizer_of_gradients_in_the_place_of_the_kernel_is_said():
    with pytest.raises(ValueError, match=r"kernel_quantizer must .*; got DoReFaGradients\("):
        QuantDense(3, kernel_quantizer=DoReFaGradients(2))


def test_a_quantizer_of_inputs_serves_for_the_kernel_too():
    layer = QuantDense(3, kernel_quantizer=XnorInputs(), kernel_constraint="weight_clip")
    layer.build((None, 4))
    assert set(np.unique(array(layer.quantized_kernel))) <= {-1, 1}
