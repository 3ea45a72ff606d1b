"""What holds for every quantizer on any operand: here for operands of many sizes, scales and kinds, drawn at random.

Each property says for which quantizers it holds, by their formulas.
"""

import hypothesis
import numpy as np
import pytest
from conftest import array, tensor
from every_quantizer import ALL
from hypothesis import strategies
from hypothesis.extra.numpy import arrays

from tfq.layers.state import arguments, state_of
from tfq.quantizers import (
    BitNetWeights,
    DoReFaWeights,
    EWGSInputs,
    EWGSWeights,
    InputQuantizer,
    IRNetWeights,
    KerasTernaryWeights,
    KernelQuantizer,
    LSQWeights,
    MagnitudeAwareSign,
    ReCUWeights,
    ReSTEWeights,
    TernaryWeights,
    TTQWeights,
    XnorWeights,
)
from tfq.quantizers.grids import Levels, Sign, Ternary, filter_axes

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

KERNELS = [quantizer for quantizer in ALL if isinstance(quantizer, KernelQuantizer) and not quantizer.is_off]
INPUTS = [quantizer for quantizer in ALL if isinstance(quantizer, InputQuantizer) and not quantizer.is_off]

# Of convolutions in one to three dimensions, depthwise, transposed and dense ones: shape, axes that count the filters.
SHAPES = {
    "conv1d": ((3, 4, 5), -1),
    "conv2d": ((3, 2, 4, 5), -1),
    "conv3d": ((2, 3, 2, 3, 4), -1),
    "transposed": ((3, 3, 5, 4), -2),
    "depthwise": ((3, 3, 4, 2), (-2, -1)),
    "dense": ((12, 5), -1),
}


def kernels(shape, seed=0):
    """Heavy-tailed weights, nearly equal ones above 0, and ones of few values with zeros among them, each of another size."""
    generator = np.random.default_rng(seed)
    draws = (generator.laplace(size=shape), 1 + 0.01 * generator.normal(size=shape))
    draws += (generator.choice([-1.0, 0.0, 0.5, 1.0], shape),)
    return [(draw * 10.0 ** generator.uniform(-3, 2)).astype("float32") for draw in draws]


def kept(quantizer, x, channel_axis=None):
    """What the quantizer is called with, after a step of training that saw `x`."""
    state = state_of(quantizer, "state", x.shape, channel_axis)
    if state is not None:
        state.observe(tensor(x))
    return arguments(quantizer, state, channel_axis)


def quantized(quantizer, w, channel_axis=-1):
    return array(quantizer(tensor(w), **kept(quantizer, w, channel_axis)))


def name(quantizer):
    return repr(quantizer)[:60]


def scales_filters(quantizer):
    return isinstance(quantizer, XnorWeights | IRNetWeights | ReCUWeights | MagnitudeAwareSign) or getattr(
        quantizer, "per_filter", False
    )


def shapes_for(quantizer):
    """With one scale for the layer they differ in nothing; with `center` kernels of one input channel are refused."""
    if not scales_filters(quantizer):
        return ["conv2d", "dense"]
    return [shape for shape in SHAPES if not (getattr(quantizer, "center", False) and shape == "depthwise")]


def pairs(quantizers):
    """Each quantizer with each shape of kernel."""
    found = [(quantizer, shape) for quantizer in quantizers for shape in shapes_for(quantizer)]
    return pytest.mark.parametrize(("quantizer", "shape"), found, ids=[f"{name(each)}-{shape}" for each, shape in found])


def each(quantizers):
    return pytest.mark.parametrize("quantizer", quantizers, ids=name)


@pairs(KERNELS)
def test_a_kernel_lies_on_its_grid_of_2_to_the_bits_values(quantizer, shape):
    size, axes = SHAPES[shape]
    for w in kernels(size):
        given = kept(quantizer, w, axes)
        values = array(quantizer(tensor(w), **given))
        codes = quantizer.encode(tensor(w), **given)
        np.testing.assert_allclose(codes.values(), values, rtol=1e-6, atol=1e-6 * np.abs(values).max())
        assert len(np.unique(codes.codes)) <= 2**quantizer.bits
        match codes.grid:
            case Sign():
                assert set(np.unique(codes.codes)) <= {-1, 1}
            case Ternary():
                assert set(np.unique(codes.codes)) <= {-1, 0, 1}
            case Levels(bits, low, high):
                assert 0 <= codes.codes.min() <= codes.codes.max() < 2**bits
                assert low <= values.min() <= values.max() <= high


@pairs(list(filter(scales_filters, KERNELS)))
def test_a_filter_has_a_scale_that_no_other_filter_changes(quantizer, shape):
    size, axes = SHAPES[shape]
    w = kernels(size)[0]
    channels = [axis % len(size) for axis in np.atleast_1d(axes)]
    values = quantized(quantizer, w, axes)
    of_filters = np.abs(np.moveaxis(values, channels, range(len(channels))))
    for place in np.ndindex(of_filters.shape[: len(channels)]):
        assert len(np.unique(of_filters[place][of_filters[place] > 0])) == 1
    other = w.copy()
    last = tuple(slice(-1, None) if axis in channels else slice(None) for axis in range(len(size)))
    other[last] *= 7
    changed = quantized(quantizer, other, axes) != values
    changed[last] = False
    assert not changed.any()


@each([one for one in KERNELS if not scales_filters(one)])
def test_one_scale_for_the_layer_does_not_ask_for_filters(quantizer):
    w = kernels((3, 3, 4, 2))[0]
    values = quantized(quantizer, w, -1)
    for axes in (-2, (-2, -1)):
        np.testing.assert_array_equal(quantized(quantizer, w, axes), values)


# The mean size of scaled signs is their scale. Of the others it is another: where there are zeros, where levels lie behind a
# tanh, and where filters are centred.
IDEMPOTENT = [one for one in KERNELS if isinstance(one, XnorWeights | ReSTEWeights) and not getattr(one, "center", False)]


@pairs([*IDEMPOTENT, DoReFaWeights(1)])
def test_quantized_again_a_kernel_stays(quantizer, shape):
    size, axes = SHAPES[shape]
    for w in kernels(size)[:2]:
        if getattr(quantizer, "clip", False):
            w = w / np.abs(w).max()
        once = quantized(quantizer, w, axes)
        np.testing.assert_allclose(quantized(quantizer, once, axes), once, rtol=1e-5)


@each([LSQWeights(2), LSQWeights(4), TTQWeights()])
def test_with_the_same_state_a_kernel_stays(quantizer):
    w = kernels((12, 5))[0]
    given = kept(quantizer, w, -1)
    once = array(quantizer(tensor(w), **given))
    np.testing.assert_allclose(array(quantizer(tensor(once), **given)), once, rtol=1e-6)


@each([one for one in INPUTS if not isinstance(one, EWGSInputs)])  # whose levels are [0, 1] whatever its bounds are
def test_quantized_again_inputs_stay(quantizer):
    x = np.random.default_rng(1).normal(size=(4, 5, 5, 3)).astype("float32")
    given = kept(quantizer, x)
    once = array(quantizer(tensor(x), **given))
    np.testing.assert_allclose(array(quantizer(tensor(once), **given)), once, rtol=1e-6, atol=1e-6)


# Q(a W) = a Q(W) for a > 0, as the formula of the paper has it; and Q(a W) = Q(W) where the scale is no function of the weights.
EQUIVARIANT = (XnorWeights, TernaryWeights, BitNetWeights, KerasTernaryWeights, ReSTEWeights, LSQWeights, MagnitudeAwareSign)
INVARIANT = (IRNetWeights, ReCUWeights, EWGSWeights, TTQWeights)


@each(KERNELS)
def test_a_kernel_of_another_scale(quantizer):
    w = np.random.default_rng(2).normal(size=(3, 3, 4, 5)).astype("float32")
    factor = np.float32(8)
    values, scaled = quantized(quantizer, w), quantized(quantizer, factor * w)
    is_equivariant = isinstance(quantizer, EQUIVARIANT) or quantizer == DoReFaWeights(1)
    if is_equivariant and not getattr(quantizer, "clip", False):
        np.testing.assert_allclose(scaled, factor * values, rtol=1e-6)
    elif isinstance(quantizer, INVARIANT):
        np.testing.assert_array_equal(scaled, values)
    else:
        assert not np.allclose(scaled, factor * values)


@each([one for one in KERNELS if not isinstance(one, LSQWeights)])  # which has a value more below 0
def test_a_kernel_of_the_other_sign(quantizer):
    """Q(-W) = -Q(W) where no weight is 0."""
    w = np.random.default_rng(3).normal(size=(3, 3, 4, 5)).astype("float32")
    values, turned = quantized(quantizer, w), quantized(quantizer, -w)
    np.testing.assert_allclose(turned, -values, rtol=1e-5, atol=1e-6)


@each(INPUTS)
def test_inputs_grow_with_their_operand(quantizer):
    """A larger input is never quantized to a smaller value."""
    x = np.sort(np.random.default_rng(4).normal(size=(2, 300)).astype("float32"), axis=-1)
    values = array(quantizer(tensor(x), **kept(quantizer, x)))
    assert (np.diff(values, axis=-1) >= 0).all()
    assert max(len(np.unique(row)) for row in values) <= 2**quantizer.bits


def test_the_axes_of_each_kind_of_kernel():
    assert {shape: filter_axes(len(size), axes) for shape, (size, axes) in SHAPES.items()} == {
        "conv1d": (0, 1),
        "conv2d": (0, 1, 2),
        "conv3d": (0, 1, 2, 3),
        "transposed": (0, 1, 3),
        "depthwise": (0, 1),
        "dense": (0,),
    }


# --- hypothesis looks for an operand on which it does not hold

# Zeros, equal values, signed zeros, and sizes from 1e-3 to 1e3: what is beyond is a matter of float32, not of the quantizers.
_numbers = strategies.one_of(
    strategies.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0]),
    strategies.floats(2**-10, 2**10, width=32),
    strategies.floats(-(2**10), -(2**-10), width=32),
)
any_kernel = arrays("float32", (4, 3), elements=_numbers)
any_inputs = arrays("float32", (2, 6), elements=_numbers)
# The same each time; one shape, since JAX compiles each anew.
few = hypothesis.settings(max_examples=12, deadline=None, derandomize=True, database=None)


@each(KERNELS)
@few
@hypothesis.given(any_kernel)
def test_any_kernel_is_made_of_its_codes_and_scales(quantizer, w):
    state = kept(quantizer, w, -1)
    values = array(quantizer(tensor(w), **state))
    assert np.isfinite(values).all()
    codes = quantizer.encode(tensor(w), **state)
    np.testing.assert_allclose(codes.values(), values, rtol=1e-6, atol=1e-6 * np.abs(values).max())
    assert len(np.unique(codes.codes)) <= 2**quantizer.bits


@each(INPUTS)
@few
@hypothesis.given(any_inputs)
def test_any_inputs_have_few_levels_and_keep_their_order(quantizer, x):
    x = np.sort(x, axis=-1)
    values = array(quantizer(tensor(x), **kept(quantizer, x)))
    assert np.isfinite(values).all()
    assert (np.diff(values, axis=-1) >= 0).all()
    assert max(len(np.unique(row)) for row in values) <= 2**quantizer.bits
