"""Whole numbers become bit planes and back, laid out as the documentation says."""

import numpy as np
import pytest

from tfq.graph import kernels

# Nothing here depends on Keras: once is enough.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

KINDS = [("binary", 1), ("ternary", 2), ("levels", 2), ("levels", 16), ("integer", 2), ("integer", 5), ("integer", 16)]
WHOLE = {
    "binary": lambda bits: [-1, 1],
    "ternary": lambda bits: [-1, 0, 1],
    "levels": lambda bits: range(1 - 2**bits, 2**bits, 2),
    "integer": lambda bits: range(-(2 ** (bits - 1)), 2 ** (bits - 1)),
}


def bits_by_hand(kernel):
    """Codes of a kernel, weight by weight: bit i % 8 of byte i // 8 of each plane; the kernel's shape, out first."""
    count = int(np.prod(kernel.shape))
    codes = [sum(int(plane[i // 8] >> (i % 8) & 1) << bit for bit, plane in enumerate(kernel.planes)) for i in range(count)]
    return np.array(codes).reshape(kernel.shape[-1], *kernel.shape[:-1])


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 3, 5)], ids=str)
@pytest.mark.parametrize(("coding", "bits"), KINDS)
def test_whole_numbers_come_back(coding, bits, shape):
    rng = np.random.default_rng(0)
    w = rng.choice(list(WHOLE[coding](bits)), shape)
    w.flat[:2] = WHOLE[coding](bits)[0], WHOLE[coding](bits)[-1]
    scale = rng.uniform(0.1, 1, 5).astype("float32")
    kernel = kernels.pack(w, coding, bits, scale)
    assert (kernel.coding, kernel.bits, kernel.shape, len(kernel.planes)) == (coding, bits, shape, bits)
    np.testing.assert_array_equal(kernels.integers(kernel), w)
    n = 2**bits - 1 if coding == "levels" else 1
    np.testing.assert_allclose(kernels.values(kernel), w / n * scale, rtol=1e-15)
    assert abs(w).max() <= kernels.coding_of(kernel).largest(bits)
    assert kernels.wrong(coding, kernel.planes, w.size) is None


@pytest.mark.parametrize(
    ("coding", "bits", "code"),
    [
        ("binary", 1, lambda w: (w + 1) // 2),
        ("ternary", 2, lambda w: 1 * (w != 0) + 2 * (w > 0)),
        ("levels", 3, lambda w: (w + 7) // 2),
        ("integer", 4, lambda w: w % 16),
    ],
)
def test_codes_are_the_documented_ones(coding, bits, code):
    w = np.random.default_rng(0).choice(list(WHOLE[coding](bits)), (3, 2, 4, 5))
    np.testing.assert_array_equal(bits_by_hand(kernels.pack(w, coding, bits)), np.moveaxis(code(w), -1, 0))


@pytest.mark.parametrize(
    ("w", "coding", "bits", "message"),
    [
        ([[0]], "binary", None, "a kernel of binary with 1 bits does not hold 0"),
        ([[-2]], "ternary", None, "does not hold -2"),
        ([[2]], "levels", 2, "a kernel of levels with 2 bits does not hold 2"),
        ([[8]], "integer", 4, "a kernel of integer with 4 bits does not hold 8"),
        ([[0.5]], "integer", 4, "does not hold 0.5"),
        ([[np.nan]], "integer", 4, "does not hold nan"),
        ([[1]], "integer", None, "a kernel of integer has 2 to 16 bits; got None"),
        ([[1]], "levels", 17, "a kernel of levels has 2 to 16 bits; got 17"),
        ([[1]], "octal", 3, "one of binary, ternary, levels, integer; got 'octal'"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_what_a_coding_does_not_hold_is_refused(w, coding, bits, message):
    with pytest.raises(ValueError, match=message):
        kernels.pack(w, coding, bits)
