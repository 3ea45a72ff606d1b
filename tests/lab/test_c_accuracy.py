"""`python -m lab.c_accuracy` on images of noise."""

import numpy as np
import pytest

from lab import c_accuracy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gcc")]
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (40, 32, 32, 3), np.uint8), RNG.integers(0, 10, 40)


def test_figures():
    rows = {row["way"]: row for row in c_accuracy.compare("resnet20_272k_xnor_cifar10", IMAGES, LABELS)}
    assert list(rows) == ["float", "int8 edges", "int16 residual", "both", "moved"]
    # Weights of the first convolution and of the head, a byte each.
    weights = 3 * 3 * 3 * 16 + 64 * 10
    assert abs(rows["float"]["constants"] - rows["int8 edges"]["constants"] - 3 * weights) < 500
    # The residual of 32 x 32 x 16, two bytes each; and beside it the image in float, which bytes do without.
    assert rows["float"]["arena"] - rows["int16 residual"]["arena"] == 2 * 32 * 32 * 16
    assert rows["both"]["arena"] < rows["int16 residual"]["arena"]
    assert (rows["float"]["same_class"], rows["float"]["farthest"]) == (40, 0.0)
    for way in ("int8 edges", "int16 residual", "both", "moved"):
        assert 20 < rows[way]["same_class"] <= 40
        assert 0 < rows[way]["median"] <= rows[way]["farthest"]
    assert all(0 < rows[way]["milliseconds"] < 1000 for way in c_accuracy.WAYS)


def test_ways_that_change_nothing_are_left_out():
    rows = c_accuracy.compare("nin_xnor_cifar10", IMAGES[:2], LABELS[:2])
    assert [row["way"] for row in rows] == ["float", "int8 edges", "moved"]
