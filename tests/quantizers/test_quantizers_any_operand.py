"""What holds for every quantizer on any operand: hypothesis looks for one on which it does not."""

import numpy as np
import pytest
from conftest import array, tensor
from every_quantizer import ALL
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfq.layers.state import arguments, state_of
from tfq.quantizers import InputQuantizer, KernelQuantizer

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]  # test_across_backends.py compares the others with it

KERNELS = [quantizer for quantizer in ALL if isinstance(quantizer, KernelQuantizer) and not quantizer.is_off]
INPUTS = [quantizer for quantizer in ALL if isinstance(quantizer, InputQuantizer) and not quantizer.is_off]
FILTERS = 3

# Zeros, equal values, signed zeros, and sizes from 1e-3 to 1e3: what is beyond is a matter of float32, not of the quantizers.
_numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0]),
    st.floats(2**-10, 2**10, width=32),
    st.floats(-(2**10), -(2**-10), width=32),
)
kernels = arrays("float32", (4, FILTERS), elements=_numbers)
inputs = arrays("float32", (2, 6), elements=_numbers)
# The same each time; one shape, since JAX compiles each anew.
few = settings(max_examples=12, deadline=None, derandomize=True, database=None)


def kept(quantizer, x, channel_axis=None):
    """What the quantizer is called with, after a step of training that saw `x`."""
    state = state_of(quantizer, "state", x.shape, channel_axis)
    if state is not None:
        state.observe(tensor(x))
    return arguments(quantizer, state, channel_axis)


def each(quantizers):
    return pytest.mark.parametrize("quantizer", quantizers, ids=lambda quantizer: repr(quantizer)[:60])


@each(KERNELS)
@few
@given(kernels)
def test_any_kernel_is_made_of_its_codes_and_scales(quantizer, w):
    given = kept(quantizer, w, -1)
    values = array(quantizer(tensor(w), **given))
    assert np.isfinite(values).all()
    codes = quantizer.encode(tensor(w), **given)
    np.testing.assert_allclose(codes.values(), values, rtol=1e-6, atol=1e-6 * np.abs(values).max())
    assert len(np.unique(codes.codes)) <= 2**quantizer.bits


@each(INPUTS)
@few
@given(inputs)
def test_any_inputs_have_few_levels_and_keep_their_order(quantizer, x):
    x = np.sort(x, axis=-1)
    values = array(quantizer(tensor(x), **kept(quantizer, x)))
    assert np.isfinite(values).all()
    assert (np.diff(values, axis=-1) >= 0).all()
    assert max(len(np.unique(row)) for row in values) <= 2**quantizer.bits
