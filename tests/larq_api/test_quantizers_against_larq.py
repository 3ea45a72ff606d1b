"""larq as the judge of its own names, in the same process (tf_keras): values and gradients bit for bit, and the oracle too."""

import larq
import larq_oracle as oracle
import numpy as np
import pytest
from conftest import array, gradient, tensor

from tfq import larq as ours

pytestmark = pytest.mark.legacy_only

X, G = oracle.operands()
W = np.random.default_rng(1).normal(size=(3, 3, 128, 64)).astype("float32")
GW = np.random.default_rng(2).normal(size=W.shape).astype("float32")


def assert_same(name, arguments, x, g):
    """The same bits, of both zeros too; returns what larq gives."""
    mine, theirs = (getattr(module.quantizers, name)(**arguments) for module in (ours, larq))
    values, gradients = array(theirs(tensor(x))), gradient(theirs, x, g)
    np.testing.assert_array_equal(array(mine(tensor(x))), values)
    np.testing.assert_array_equal(gradient(mine, x, g), gradients)
    return values, gradients


@pytest.mark.parametrize("case", oracle.CASES, ids=lambda case: f"{case.name}{tuple(case.arguments.values())}")
def test_each_quantizer_and_its_oracle(case):
    # larq's gradient of SwishSign is NaN beyond 6.8e37: see below.
    values, gradients = assert_same(case.name, case.arguments, X, G)
    np.testing.assert_array_equal(values, case.value(X))
    if case.name == "SwishSign":  # NumPy's tanh and cosh differ in their last bits, and two terms cancel
        np.testing.assert_allclose(gradients, case.gradient(X, G), rtol=3e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(gradients, case.gradient(X, G))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MagnitudeAwareSign", {}),
        ("MagnitudeAwareSign", {"clip_value": None}),
        ("SteTern", {"ternary_weight_networks": True}),
        *[("DoReFa", {"k_bit": bits, "mode": "weights"}) for bits in (1, 2, 4, 8)],
    ],
)
@pytest.mark.parametrize("shape", [W.shape, (1152, 64)])
def test_each_quantizer_of_kernels(name, arguments, shape):
    assert_same(name, arguments, W.reshape(shape), GW.reshape(shape))


def test_a_kernel_of_zeros():
    w, g = np.zeros((3, 4), "float32"), np.ones((3, 4), "float32")
    for name, arguments in [("MagnitudeAwareSign", {}), ("SteTern", {"ternary_weight_networks": True})]:
        assert_same(name, arguments, w, g)
    assert_same("DoReFa", {"mode": "weights"}, w, g)


def test_noop():
    assert_same("NoOp", {"precision": 1}, X[:99], G[:99])


def test_swish_sign_where_larq_gives_nan():
    x = np.float32([-3e38, -1e38, 1e38, 3e38])
    assert np.isnan(gradient(larq.quantizers.SwishSign(), x, 1.0)).all()
    np.testing.assert_array_equal(gradient(ours.quantizers.SwishSign(), x, 1.0), np.zeros(4))


def test_swish_sign_of_half_precision_where_larq_gives_nan():
    # beta x overflows float16.
    x = np.float16([-60000, -20000, 20000, 60000])
    assert np.isnan(gradient(larq.quantizers.SwishSign(dtype="float16"), x, 1.0, "float16")).all()
    np.testing.assert_array_equal(gradient(ours.quantizers.SwishSign(), x, 1.0, "float16"), np.zeros(4))


def test_nan_differs():
    theirs, mine = (
        {name: array(getattr(module.quantizers, name)()(tensor([np.nan])))[0] for name in ("SteSign", "SteHeaviside", "SteTern")}
        for module in (larq, ours)
    )
    assert np.isnan(list(theirs.values())).all()
    assert mine == {"SteSign": -1, "SteHeaviside": 0, "SteTern": 0}


@pytest.mark.parametrize("name", ["hard_tanh", "leaky_tanh"])
def test_activations(name):
    mine, theirs = (getattr(module.activations, name) for module in (ours, larq))
    np.testing.assert_array_equal(array(mine(tensor(X))), array(theirs(tensor(X))))
    inner = np.abs(X) != 1
    np.testing.assert_array_equal(gradient(mine, X, G)[inner], gradient(theirs, X, G)[inner])


def test_the_slope_of_leaky_tanh_at_its_kinks_differs():
    x = np.float32([-1, 1])
    # larq's is no slope of either side: its three terms each count.
    np.testing.assert_array_equal(gradient(larq.activations.leaky_tanh, x), np.float32([1.2, 1.2]))
    np.testing.assert_array_equal(gradient(ours.activations.leaky_tanh, x), [1, 1])


@pytest.mark.parametrize("name", ["sign", "heaviside"])
def test_steps(name):
    x = np.concatenate([X, [-np.inf, np.inf, -0.0]]).astype("float32")
    mine, theirs = (getattr(module.math, name) for module in (ours, larq))
    np.testing.assert_array_equal(array(mine(tensor(x))), array(theirs(tensor(x))))


@pytest.mark.parametrize("name", ["ste_sign", "approx_sign", "swish_sign", "ste_heaviside", "ste_tern"])
def test_functions(name):
    mine, theirs = (getattr(module.quantizers, name) for module in (ours, larq))
    np.testing.assert_array_equal(array(mine(tensor(X))), array(theirs(tensor(X))))
    np.testing.assert_array_equal(gradient(mine, X, G), gradient(theirs, X, G))


@pytest.mark.parametrize("bits", [0, 7, 8 * 1024 - 1, 8 * 1024, 12345678, 2**33, 2**45])
def test_memory_as_text(bits):
    assert ours.utils.memory_as_readable_str(bits) == larq.utils.memory_as_readable_str(bits)
