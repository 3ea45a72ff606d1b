"""larq as the judge, in the same process (tf_keras): bit for bit where the definitions agree, both sides where they do not."""

import larq
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from conftest import array, gradient, layer_vjp, tensor

from tfq import layers, quantizers
from tfq.backend.keras import load_model
from tfq.summary import layer_costs

RNG = np.random.default_rng(0)
SPECIAL = [-np.inf, -2, -1, -0.5, -1e-40, -0.0, 0, 1e-40, 0.25, 0.5, 1, 1.0000001, np.inf]
X = np.concatenate([SPECIAL, RNG.normal(size=500)]).astype("float32")
G = RNG.normal(size=X.shape).astype("float32")
W = RNG.normal(size=(3, 3, 8, 16)).astype("float32")
W[0, 0, :5] = np.reshape([0, 1, -1, 0.5, -0.5], (5, 1))
GW = RNG.normal(size=W.shape).astype("float32")


def assert_same(ours, theirs, x, g):
    """The same values and the same gradients, bit for bit."""
    np.testing.assert_array_equal(array(ours(tensor(x))), array(theirs(tensor(x))))
    np.testing.assert_array_equal(gradient(ours, x, g), gradient(theirs, x, g))


def test_sign():
    assert_same(quantizers.XnorInputs(), larq.quantizers.SteSign(), X, G)


def test_sign_of_nan_differs():
    assert array(quantizers.XnorInputs()(tensor([np.nan])))[0] == -1
    assert np.isnan(array(larq.quantizers.SteSign()(tensor([np.nan])))[0])
    # The gradients agree: none.
    assert gradient(quantizers.XnorInputs(), [np.nan], [1]) == gradient(larq.quantizers.SteSign(), [np.nan], [1]) == [0]


def zoo_scaled_sign(w):
    """The kernel quantizer of larq-zoo's XNOR-Net, without its clip of the latent weights: the scale is differentiated."""
    return tf.reduce_mean(tf.abs(w), axis=(0, 1, 2)) * larq.quantizers.SteSign()(w)


def test_xnor_weights_against_the_zoo():
    np.testing.assert_array_equal(array(quantizers.XnorWeights()(tensor(W))), array(zoo_scaled_sign(tensor(W))))
    nonzero = W != 0
    ours, theirs = gradient(quantizers.XnorWeights(), W, GW), gradient(zoo_scaled_sign, W, GW)
    # The same two terms, but autodiff sums sign g over the filter first and divides by n later: float32 rounding.
    np.testing.assert_allclose(ours[nonzero], theirs[nonzero], rtol=1e-5, atol=1e-6)


def test_exact_gradient_at_zero_differs_from_autodiff():
    through_alpha = np.mean(np.where(W >= 0, 1, -1) * GW, (0, 1, 2), dtype="float64")
    difference = gradient(quantizers.XnorWeights(), W, GW) - gradient(zoo_scaled_sign, W, GW)
    # sign(0) = +1 in ours, and the gradient of |w| at 0 is 0 in TensorFlow's.
    np.testing.assert_allclose(difference[0, 0, 0], through_alpha, rtol=1e-4, atol=1e-6)


def test_xnor_weights_with_clipping_against_the_zoo():
    def zoo(w):
        return zoo_scaled_sign(tf.clip_by_value(w, -1, 1))

    nonzero = W != 0
    quantize = quantizers.XnorWeights(clip=True)
    np.testing.assert_array_equal(array(quantize(tensor(W))), array(zoo(tensor(W))))
    np.testing.assert_allclose(gradient(quantize, W, GW)[nonzero], gradient(zoo, W, GW)[nonzero], rtol=1e-5, atol=1e-6)


def test_magnitude_aware_sign_is_the_term_with_a_constant_scale():
    theirs = larq.quantizers.MagnitudeAwareSign()
    np.testing.assert_array_equal(array(quantizers.XnorWeights()(tensor(W))), array(theirs(tensor(W))))
    # Ours minus the term through alpha is theirs: alpha [|w| <= 1] g. It cancels, hence the absolute tolerance.
    signs = np.where(W >= 0, 1, -1)
    through_alpha = signs * np.mean(signs * GW, (0, 1, 2), keepdims=True)
    ours = gradient(quantizers.XnorWeights(), W, GW) - through_alpha
    np.testing.assert_allclose(ours, gradient(theirs, W, GW), rtol=1e-5, atol=1e-6)
    # And alpha times our clipped gradient is theirs, but for one rounding.
    alpha = np.abs(array(theirs(tensor(W))))
    clipped = alpha * gradient(quantizers.XnorWeights(gradient=quantizers.ClippedGradient()), W, GW)
    np.testing.assert_allclose(clipped, gradient(theirs, W, GW), rtol=1e-6)


@pytest.mark.parametrize("bits", range(1, 9))
def test_dorefa_inputs(bits):
    assert_same(quantizers.DoReFaInputs(bits), larq.quantizers.DoReFa(bits, mode="activations"), X, G)


def test_dorefa_inputs_at_nan():
    assert_same(quantizers.DoReFaInputs(4), larq.quantizers.DoReFa(4, mode="activations"), np.float32([np.nan]), np.float32([3]))


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("w", [W, np.zeros((3, 3, 4, 2), "float32")], ids=["normal", "zeros"])
def test_dorefa_weights(bits, w):
    theirs = larq.quantizers.DoReFa(bits, mode="weights")
    assert_same(quantizers.DoReFaWeights(bits), theirs, w, GW[: w.shape[0], : w.shape[1], : w.shape[2], : w.shape[3]])


def test_dorefa_weights_of_one_bit_differ():
    ours, theirs = quantizers.DoReFaWeights(1), larq.quantizers.DoReFa(1, mode="weights")
    w = np.float32([0.5, -0.25, 0, -1.25])
    np.testing.assert_array_equal(array(ours(tensor(w))), [0.5, -0.5, 0.5, -0.5])  # the paper: times E|W|
    np.testing.assert_array_equal(array(theirs(tensor(w))), [1, -1, -1, -1])  # no scale, and zero rounds to even, down
    np.testing.assert_array_equal(gradient(ours, w, [1, 2, 3, 4]), [1, 2, 3, 4])  # the paper: the identity
    by_tanh = np.float32([1, 2, 3, 4]) * (1 - np.tanh(w) ** 2) / np.tanh(1.25)
    np.testing.assert_allclose(gradient(theirs, w, [1, 2, 3, 4]), by_tanh, rtol=1e-5)


def test_ternary_weights_differ_in_scale_and_gradient_window():
    ours, theirs = quantizers.TernaryWeights(), larq.quantizers.SteTern(ternary_weight_networks=True)
    q, states = array(ours(tensor(W))), array(theirs(tensor(W)))
    np.testing.assert_array_equal(np.sign(q), states)
    assert set(np.unique(states)) == {-1, 0, 1}
    survivors = np.abs(W) > 0.7 * np.abs(W).mean()
    # A float32 mean of some hundred terms.
    np.testing.assert_allclose(np.unique(np.abs(q)), [0, np.abs(W)[survivors].mean(dtype="float64")], rtol=2e-6)
    np.testing.assert_array_equal(gradient(ours, W, GW), GW)
    np.testing.assert_array_equal(gradient(theirs, W, GW), GW * (np.abs(W) <= 1))


def test_ternary_weights_at_the_threshold_differ():
    threshold = np.float32(0.7) / 4
    w = np.float32([threshold, 0.75, 0.25 - threshold, 0])  # mean 1/4
    np.testing.assert_array_equal(array(quantizers.TernaryWeights()(tensor(w))), [0, 0.75, 0, 0])
    np.testing.assert_array_equal(array(larq.quantizers.SteTern(ternary_weight_networks=True)(tensor(w))), [1, 1, 0, 0])


@pytest.mark.parametrize(
    ("kernel_quantizer", "input_quantizer"),
    [
        (larq.quantizers.SteSign(), larq.quantizers.SteSign()),
        (quantizers.XnorWeights(), quantizers.XnorInputs()),
        (quantizers.DoReFaWeights(2), quantizers.DoReFaInputs(2)),
        (quantizers.TernaryWeights(), None),
    ],
)
@pytest.mark.parametrize(
    "options", [{}, {"pad_values": 1.0}, {"pad_values": -1.0, "strides": 2}, {"pad_values": 1.0, "dilation_rate": 2}]
)
def test_convolution(kernel_quantizer, input_quantizer, options):
    def build(cls):
        tf_keras.utils.set_random_seed(3)
        layer = cls(
            5, 3, padding="same", use_bias=True, kernel_quantizer=kernel_quantizer, input_quantizer=input_quantizer, **options
        )
        layer.build((None, 7, 8, 4))
        layer.bias.assign(np.linspace(-1, 1, 5))
        return layer

    x = np.random.default_rng(4).normal(size=(2, 7, 8, 4))
    ours, theirs = build(layers.QuantConv2D), build(larq.layers.QuantConv2D)
    np.testing.assert_array_equal(ours.kernel, theirs.kernel.latent_variable)
    upstream = np.random.default_rng(5).normal(size=tuple(ours(tensor(x)).shape))
    output, gradients = layer_vjp(ours, x, upstream)
    expected, expected_gradients = layer_vjp(theirs, x, upstream)
    # The same ops of TensorFlow on the same numbers.
    np.testing.assert_array_equal(output, expected)
    for ours_, theirs_ in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_array_equal(ours_, theirs_)


def test_dense():
    def build(cls):
        tf_keras.utils.set_random_seed(3)
        layer = cls(5, kernel_quantizer=larq.quantizers.SteSign(), input_quantizer=larq.quantizers.SteSign())
        layer.build((None, 7))
        return layer

    x, upstream = np.random.default_rng(4).normal(size=(3, 7)), np.random.default_rng(5).normal(size=(3, 5))
    output, gradients = layer_vjp(build(layers.QuantDense), x, upstream)
    expected, expected_gradients = layer_vjp(build(larq.layers.QuantDense), x, upstream)
    np.testing.assert_array_equal(output, expected)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weight_clip():
    from tfq.constraints import WeightClip

    np.testing.assert_array_equal(array(WeightClip(1.3)(tensor(W))), array(larq.constraints.WeightClip(1.3)(tensor(W))))


def test_bits_of_larqs_layers_are_counted():
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
    depthwise = {"input_quantizer": larq.quantizers.DoReFa(2), "depthwise_quantizer": "ste_tern"}
    convolutions = [larq.layers.QuantConv2D(4, 3, **signs), larq.layers.QuantDepthwiseConv2D(3, **depthwise)]
    costs = layer_costs(tf_keras.Sequential([tf_keras.Input((8, 8, 4)), *convolutions]))
    assert [(cost.input_bits, cost.weight_bits) for cost in costs] == [(1, 1), (2, 2)]


def test_layers_in_wrappers_are_ours_where_larq_has_the_same_names(tmp_path):
    inner = layers.QuantDense(3, kernel_quantizer="xnor_weights", gradient_quantizer=quantizers.DoReFaGradients(6))
    x = tf_keras.Input((4, 3))
    tf_keras.Model(x, tf_keras.layers.TimeDistributed(inner)(x)).save(tmp_path / "m.keras")
    assert type(load_model(tmp_path / "m.keras").layers[1].layer) is layers.QuantDense
