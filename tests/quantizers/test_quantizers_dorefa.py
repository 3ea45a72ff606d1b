"""DoReFa-Net (arXiv:1606.06160): sections 2.3 to 2.5, equations 5 to 12, in NumPy."""

import numpy as np
import pytest
from conftest import array, compiled, gradient, tensor

from tfq.backend.keras import backend, ops
from tfq.quantizers import DoReFaGradients, DoReFaInputs, DoReFaWeights

BITS = [2, 4, 8, 16]
WIDTHS = [1, *BITS]


def grid(bits):
    """The levels i / n of [0, 1], as float32 arithmetic gives them."""
    n = 2**bits - 1
    return np.arange(n + 1, dtype="float32") / np.float32(n)


def assert_on_grid(q, levels, ulp):
    """Each q is a level, one and the same value for each; returns the indices of the levels."""
    index = np.abs(levels - np.reshape(q, (-1, 1))).argmin(1).reshape(q.shape)
    np.testing.assert_allclose(q, levels[index], rtol=0, atol=ulp)
    assert len(np.unique(q)) == len(np.unique(index))
    return index


def assert_nearest(q, levels, u, ulp):
    """Each q is the level nearest to u, but where float32 cannot tell: within 1 % of a tie."""
    n = len(levels) - 1
    index = assert_on_grid(q, levels, ulp)
    clear = np.abs((n * u) % 1 - 0.5) > 0.01
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(index[clear], np.round(n * u)[clear])


def as_written(quantize):
    return quantize


# XLA (behind JAX always) and TensorFlow's graph optimizer multiply by 1 / n where the formula divides by n, and may fuse that
# with what follows: one unit in the last place below 1, twice that after the doubling of the weights.
ULP = 1.2e-7
AS_WRITTEN = ULP if backend == "jax" else 0
MODES = [(as_written, AS_WRITTEN), (compiled, ULP)]


# --- weights


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("differentiate_max", [False, True])
def test_weights_lie_on_the_nearest_level(bits, differentiate_max):
    w = np.random.default_rng(bits).normal(size=(3, 3, 5, 7)).astype("float32")
    t = np.tanh(w.astype("float64"))
    for mode, ulp in MODES:
        q = array(mode(DoReFaWeights(bits, differentiate_max))(tensor(w)))
        assert_nearest(q, np.float32(2) * grid(bits) - np.float32(1), t / (2 * np.abs(t).max()) + 0.5, ulp)
        assert abs(np.abs(q).max() - 1) <= ulp  # the largest weight takes an end of the grid


@pytest.mark.parametrize("bits", BITS)
def test_weight_gradient_with_a_constant_maximum(bits):
    generator = np.random.default_rng(1)
    w, g = generator.normal(size=(4, 6)), generator.normal(size=(4, 6))
    t = np.tanh(w)
    # float32 tanh is good to a few units in the last place; 1 - t^2 loses some where t is near 1.
    np.testing.assert_allclose(gradient(DoReFaWeights(bits), w, g), g * (1 - t**2) / np.abs(t).max(), rtol=1e-5, atol=1e-6)


def test_weight_gradient_through_the_maximum_by_differences():
    generator = np.random.default_rng(2)
    w, g = generator.normal(size=(4, 3)) / 3, generator.normal(size=(4, 3))

    def surrogate(w):
        return np.sum(g * np.tanh(w) / np.abs(np.tanh(w)).max())

    steps = 1e-6 * np.eye(12).reshape(12, 4, 3)
    expected = np.reshape([(surrogate(w + s) - surrogate(w - s)) / 2e-6 for s in steps], (4, 3))
    ours = gradient(DoReFaWeights(4, differentiate_max=True), w, g)
    # Central differences in float64 are good to 1e-9 here; the rest is float32.
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    without = gradient(DoReFaWeights(4), w, g)
    largest = np.unravel_index(np.abs(w).argmax(), w.shape)
    assert abs(ours[largest] - without[largest]) > 0.05


def test_weight_gradient_through_the_maximum_is_autodiff_also_at_ties():
    w, g = np.float32([0.5, -1.5, 1.5, 0.0, -1.5]), np.float32([1, 2, -3, 4, 5])

    def surrogate(w):
        t = ops.tanh(w)
        return t / ops.max(ops.abs(t))

    ours = gradient(DoReFaWeights(4, differentiate_max=True), w, g)
    np.testing.assert_allclose(ours, gradient(surrogate, w, g), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("differentiate_max", [False, True])
def test_all_zero_weights_take_the_upper_middle_level(bits, differentiate_max):
    quantize = DoReFaWeights(bits, differentiate_max)
    upper = (np.float32(2) * grid(bits) - np.float32(1))[2 ** (bits - 1)]
    assert upper > 0
    np.testing.assert_allclose(array(quantize(tensor(np.zeros((3, 4))))), np.full((3, 4), upper), rtol=0, atol=AS_WRITTEN)
    np.testing.assert_array_equal(gradient(quantize, np.zeros((3, 4)), np.ones((3, 4))), np.zeros((3, 4)))


def test_one_bit_weights_share_one_scale_and_pass_the_gradient():
    w = np.float32([[0.5, -0.25], [0.0, -1.25]])  # mean |W| = 1/2 over the whole layer
    g = np.float32([[1, 2], [3, 4]])
    np.testing.assert_array_equal(array(compiled(DoReFaWeights(1))(tensor(w))), [[0.5, -0.5], [0.5, -0.5]])
    np.testing.assert_array_equal(gradient(DoReFaWeights(1), w, g), g)


# --- activations


@pytest.mark.parametrize("bits", WIDTHS)
def test_inputs_lie_on_the_nearest_level(bits):
    x = np.random.default_rng(bits).uniform(-0.5, 1.5, 500).astype("float32")
    for mode, ulp in MODES:
        assert_nearest(array(mode(DoReFaInputs(bits))(tensor(x))), grid(bits), np.clip(x.astype("float64"), 0, 1), ulp)


@pytest.mark.parametrize("bits", WIDTHS)
def test_input_gradient_is_one_on_the_closed_unit_interval(bits):
    x = np.float32([-np.inf, -0.1, -0.0, 0, 0.3, 1, 1.0000001, np.inf, np.nan])
    g = np.arange(1, 10, dtype="float32")
    np.testing.assert_array_equal(gradient(DoReFaInputs(bits), x, g), g * [0, 0, 1, 1, 1, 1, 0, 0, 0])


def test_inputs_round_ties_to_even():
    np.testing.assert_array_equal(array(DoReFaInputs(1)(tensor([0.5, 0.50001, -0.0, 1]))), [0, 1, 0, 1])


@pytest.mark.skipif(backend == "torch", reason="stated for TensorFlow and JAX")
def test_inputs_keep_nan():
    np.testing.assert_array_equal(array(compiled(DoReFaInputs(4))(tensor([np.nan, 2]))), [np.nan, 1])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_inputs_are_quantized_in_float32(dtype):
    x = tensor(np.linspace(-0.2, 1.2, 999), dtype)
    q = DoReFaInputs(8)(x)
    assert dtype in str(q.dtype)
    expected = tensor(array(DoReFaInputs(8)(tensor(array(x)))), dtype)
    np.testing.assert_array_equal(array(q), array(expected))


# --- gradients


def key(*numbers):
    return ops.convert_to_tensor(numbers, dtype="int32")


def quantized(g, bits=4, k=(3, 7), dtype="float32"):
    g = np.asarray(g, "float32")
    return gradient(lambda x: DoReFaGradients(bits)(x, key(*k)), np.zeros_like(g), g, dtype)


G = np.random.default_rng(5).normal(size=(6, 5, 5, 3)).astype("float32") * 10.0 ** np.arange(-3, 3).reshape(6, 1, 1, 1)


def test_gradients_are_the_identity_forward():
    np.testing.assert_array_equal(array(DoReFaGradients(1)(tensor(G), key(3, 7))), np.float32(G))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("shape", [(6, 5, 5, 3), (6, 75)])
def test_gradients_lie_on_the_grid_of_their_sample(bits, shape):
    g = np.float32(G.reshape(shape))
    q = quantized(g, bits)
    size = np.abs(g).reshape(6, -1).max(1)
    for sample, largest, original in zip(q, size, g, strict=True):
        # Equation 12: 2 M (level - 1/2), the levels of [0, 1].
        assert_on_grid(sample, largest * (np.float32(2) * grid(bits) - np.float32(1)), largest * 2 * AS_WRITTEN)
        # Rounding moves a value by half a step and the noise by up to another half; 1e-6: float32.
        step = 2 * largest / (2**bits - 1)
        assert np.abs(sample - original).max() <= step * (1 + 1e-6 * 2**bits)


def test_gradient_maximum_is_taken_per_sample_over_all_other_axes():
    alone = [quantized(G[i : i + 1], 16)[0] for i in range(6)]
    together = quantized(G, 16)
    step = 2 * np.abs(G).max((1, 2, 3)) / (2**16 - 1)
    for i in range(6):  # the noise differs with the place in the batch, the grid does not: within two steps of it
        assert np.abs(alone[i] - together[i]).max() <= 2.01 * step[i]


@pytest.mark.parametrize("bits", [2, 4])
def test_gradient_noise_removes_the_bias_of_rounding(bits):
    n = 2**bits - 1
    g = np.full((1, 40001), 0.37, "float32")
    g[0, 0] = 1
    q = quantized(g, bits)[0, 1:]
    step = 2 / n
    assert len(np.unique(q)) == 2
    # Without noise every one would round the same way. The mean of 40,000 two-valued draws: five standard errors.
    assert abs(q.mean() - 0.37) < 5 * (step / 2) / np.sqrt(40000)


def test_gradient_noise_is_uniform_over_one_step():
    # Values spread over one step: each rounds up with the probability of its distance from the lower level.
    g = np.tile(np.linspace(1 / 3, 1, 21, dtype="float32")[:-1], 2000).reshape(1, -1)
    g = np.concatenate([g, [[1]]], 1)
    up = (quantized(g, 2)[0, :-1] > 0.5).reshape(2000, 20).mean(0)
    # 2000 draws: five standard errors are at most 5 * 0.5 / sqrt(2000) = 0.056.
    np.testing.assert_allclose(up, np.arange(20) / 20, atol=0.056)


def test_the_largest_gradient_is_kept_in_range_despite_the_noise():
    q = quantized([[1, -1] * 500], 2)
    assert_on_grid(q, np.float32(2) * grid(2) - np.float32(1), AS_WRITTEN)
    assert set(np.sign(q[0, ::2])) == {1}


def test_an_all_zero_sample_stays_exactly_zero():
    g = np.float32(G.copy())
    g[2] = 0
    q = quantized(g, 1)
    np.testing.assert_array_equal(q[2], 0)
    assert (q[3] != 0).all()  # one bit has no level at 0


def test_nan_spoils_its_own_sample_only():
    g = np.float32(G.copy())
    g[1, 2, 3, 1] = np.nan
    q = quantized(g, 4)
    assert np.isnan(q[1, 2, 3, 1])
    assert np.isfinite(np.delete(q, 1, axis=0)).all()


def test_the_key_alone_decides_the_noise():
    np.testing.assert_array_equal(quantized(G, 4, (3, 7)), quantized(G, 4, (3, 7)))
    for other in ((3, 8), (4, 7), (1000000007, 0)):
        assert (quantized(G, 4, other) != quantized(G, 4, (3, 7))).mean() > 0.05


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_gradients_keep_their_dtype(dtype):
    upstream = np.clip(np.float32(G), -100, 100)
    assert np.isfinite(quantized(upstream, 8, dtype=dtype)).all()


# --- numbers of bits


@pytest.mark.parametrize("quantizer", [DoReFaWeights, DoReFaInputs])
def test_32_bits_switch_the_quantizer_off(quantizer):
    w, g = np.float32([-2, -0.3, 0.1, 0.7, 3]), np.float32([1, 2, 3, 4, 5])
    np.testing.assert_array_equal(array(quantizer(32)(tensor(w))), w)
    np.testing.assert_array_equal(gradient(quantizer(32), w, g), g)


def test_32_bit_gradients_are_not_touched():
    np.testing.assert_array_equal(quantized(G, 32), np.float32(G))


@pytest.mark.parametrize("quantizer", [DoReFaWeights, DoReFaInputs, DoReFaGradients])
@pytest.mark.parametrize("bits", [0, -1, 17, 31, 33, True, 2.0, "2", None])
def test_other_numbers_of_bits_are_refused(quantizer, bits):
    with pytest.raises(ValueError, match=rf"{quantizer.__name__}: bits must be .* 1 to 16, or 32 .*got bits={bits!r}"):
        quantizer(bits)


@pytest.mark.parametrize("quantizer", [DoReFaWeights, DoReFaInputs, DoReFaGradients])
@pytest.mark.parametrize("bits", [1, 16, 32])
def test_the_quantizer_states_its_bits(quantizer, bits):
    assert quantizer(bits).bits == bits
