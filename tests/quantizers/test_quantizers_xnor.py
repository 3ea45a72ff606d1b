"""XNOR-Net (arXiv:1603.05279): values and the three gradients of the weights, section 3.1, against the formulas in NumPy."""

import numpy as np
import pytest
from conftest import array, compiled, gradient, tensor

from tfq import ste
from tfq.backend.keras import backend, ops
from tfq.quantizers import ClippedGradient, ExactGradient, PaperGradient, XnorInputs, XnorWeights

SHAPES = [(2, 2, 4, 3), (16, 3)]
N = 16  # weights of a filter, in both shapes


def dyadic(shape, seed, bound):
    """Random multiples of 1/8 up to +-bound: with N = 16 all sums and means of the formulas are exact in float32."""
    w = np.random.default_rng(seed).integers(-8 * bound, 8 * bound + 1, shape) / np.float32(8)
    flat = w.reshape(-1, shape[-1])
    flat[:5] = np.float32([0, 1, -1, 1.125, -1.125])[:, None]  # the boundaries, in every filter
    return w.astype("float32")


def per_filter(function, *tensors):
    """Apply `function` to the filters, as vectors, one after the other."""
    columns = [t.reshape(-1, t.shape[-1]) for t in tensors]
    filters = [function(*(c[:, o] for c in columns)) for o in range(tensors[0].shape[-1])]
    return np.stack(filters, -1).reshape(tensors[0].shape)


def signs(w):
    return np.where(w >= 0, 1, -1).astype("float32")


def scaled_sign(w):
    return np.abs(w).sum() / len(w) * signs(w)


def exact(w, g):
    alpha = np.abs(w).mean()
    return np.array(
        [s / len(w) * np.dot(signs(w), g) + alpha * (abs(v) <= 1) * u for v, s, u in zip(w, signs(w), g, strict=True)]
    )


def paper(w, g):
    return g * (1 / len(w) + np.abs(w).mean() * (np.abs(w) <= 1))


def clipped(w, g):
    return g * (np.abs(w) <= 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_are_signs_times_the_mean_magnitude_of_their_filter(shape):
    w = dyadic(shape, 0, 2)
    np.testing.assert_array_equal(array(XnorWeights()(tensor(w))), per_filter(scaled_sign, w))
    np.testing.assert_array_equal(array(compiled(XnorWeights())(tensor(w))), per_filter(scaled_sign, w))


def test_weights_of_any_size_lie_exactly_on_two_values_a_filter():
    w = np.random.default_rng(1).normal(size=(3, 3, 5, 7)).astype("float32")
    q = array(compiled(XnorWeights())(tensor(w)))
    alpha = np.abs(q).reshape(-1, 7)
    assert (alpha == alpha[0]).all()
    np.testing.assert_array_equal(np.sign(q), signs(w))
    # float32 sums of 45 terms: some units in the last place.
    np.testing.assert_allclose(alpha[0], np.abs(w).mean((0, 1, 2), dtype="float64"), rtol=1e-6)


@pytest.mark.parametrize(
    ("estimator", "oracle"), [(None, exact), (ExactGradient(), exact), (PaperGradient(), paper), (ClippedGradient(), clipped)]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_follow_their_formulas(shape, estimator, oracle):
    w, g = dyadic(shape, 2, 2), dyadic(shape, 3, 4)
    np.testing.assert_array_equal(gradient(XnorWeights(gradient=estimator), w, g), per_filter(oracle, w, g))


def test_the_three_gradients_differ():
    w, g = dyadic((2, 2, 4, 3), 2, 2), dyadic((2, 2, 4, 3), 3, 4)
    results = [gradient(XnorWeights(gradient=e), w, g) for e in (ExactGradient(), PaperGradient(), ClippedGradient())]
    assert not any(np.array_equal(results[i], results[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("shape", [(3, 3, 5, 7), (45, 7)])
def test_exact_gradient_is_autodiff_of_scale_times_sign(shape):
    generator = np.random.default_rng(4)
    w, g = generator.normal(size=shape) * 0.8, generator.normal(size=shape)

    def by_autodiff(w):
        return ops.mean(ops.abs(w), axis=tuple(range(len(shape) - 1)), keepdims=True) * ste.ste_sign(w)

    # The same sums in another order: float32 rounding of 45 terms of size 1.
    np.testing.assert_allclose(gradient(XnorWeights(), w, g), gradient(by_autodiff, w, g), rtol=1e-5, atol=1e-6)


def test_exact_gradient_takes_plus_one_as_the_sign_of_zero():
    w, g = np.float32([[0], [0.5]]), np.float32([[1], [2]])
    # alpha = 1/4; through alpha: 1/2 (1 + 2) = 3/2 for both; through the sign: 1/4 and 2/4.
    np.testing.assert_array_equal(gradient(XnorWeights(), w, g), [[1.75], [2.0]])


def test_a_filter_of_zeros_gives_zeros_and_nan_spoils_its_own_filter_only():
    w = np.float32([[0, np.nan, 1], [0, 1, -3]])
    np.testing.assert_array_equal(array(XnorWeights()(tensor(w))), np.float32([[0, np.nan, 2], [0, np.nan, -2]]))


@pytest.mark.parametrize("shape", SHAPES)
def test_centring_removes_the_mean_over_the_input_channels_of_each_tap(shape):
    w, g = dyadic(shape, 5, 2), dyadic(shape, 6, 4)
    centred = w - w.mean(-2, keepdims=True)
    np.testing.assert_array_equal(array(XnorWeights(center=True)(tensor(w))), per_filter(scaled_sign, centred))
    inner = per_filter(exact, centred, g)
    # The mean's own gradient: multiples of 1/8 no longer, so to float32 rounding.
    expected = inner - inner.mean(-2, keepdims=True)
    np.testing.assert_allclose(gradient(XnorWeights(center=True), w, g), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_clipping_bounds_the_scale_and_keeps_the_gradient_on_the_closed_window(shape):
    w, g = dyadic(shape, 7, 2), dyadic(shape, 8, 4)
    limited = np.clip(w, -1, 1)
    np.testing.assert_array_equal(array(XnorWeights(clip=True)(tensor(w))), per_filter(scaled_sign, limited))
    expected = per_filter(exact, limited, g) * (np.abs(w) <= 1)
    np.testing.assert_array_equal(gradient(XnorWeights(clip=True), w, g), expected)


def test_centring_comes_before_clipping():
    w = np.float32([[3], [0]])  # centred 1.5 and -1.5, then clipped: alpha 1
    np.testing.assert_array_equal(array(XnorWeights(center=True, clip=True)(tensor(w))), [[1], [-1]])


def test_inputs_are_signs_with_the_clipped_gradient():
    x = np.float32([-2, -1, -0.5, -0.0, 0, 1, 1.5, np.nan])
    g = np.float32([1, 2, 3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(array(XnorInputs()(tensor(x))), [-1, -1, -1, 1, 1, 1, 1, -1])
    np.testing.assert_array_equal(gradient(XnorInputs(), x, g), [0, 2, 3, 4, 5, 6, 0, 0])


@pytest.mark.skipif(backend == "torch", reason="PyTorch keeps subnormals")
def test_subnormal_weights_count_as_plus_zero():
    q = array(compiled(XnorWeights())(tensor([[-1e-40], [1.0]])))
    np.testing.assert_array_equal(q, [[0.5], [0.5]])
