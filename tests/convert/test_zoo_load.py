"""Networks of the zoo as Keras models."""

import numpy as np
import pytest

import tfq


@pytest.mark.keras3_only
@pytest.mark.tensorflow_only
def test_the_model_computes_what_the_file_does():
    pytest.importorskip("numba", reason="needs tfq[runtime]")
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    expected = tfq.runtime.load(tfq.zoo.path("nin_xnor_cifar10")).predict(images)
    np.testing.assert_allclose(tfq.zoo.load("nin_xnor_cifar10")(images), expected, rtol=1e-3, atol=1e-3)
