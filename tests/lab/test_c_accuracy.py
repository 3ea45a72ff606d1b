"""`python -m lab.c_accuracy` on images of noise."""

import numpy as np
import pytest

import tfq.zoo
from lab import c_accuracy
from tfq.graph import file

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gcc")]


def test_figures():
    rng = np.random.default_rng(0)
    images, targets = rng.integers(0, 256, (40, 32, 32, 3), np.uint8), rng.integers(0, 10, 40)
    found = c_accuracy.compared(file.read(tfq.zoo.path("resnet20_272k_xnor_cifar10")), images, targets)
    # Weights of the first convolution and of the head, a byte each.
    weights = 3 * 3 * 3 * 16 + 64 * 10
    assert abs(found["float"]["constants"] - found["int8"]["constants"] - 3 * weights) < 500
    assert 0 < found["int8"]["milliseconds"] < 1000
    assert 0.5 < found["same_top1"] <= 1
    assert 0.5 < found["same_top1_of_moved_images"] <= 1
