"""The progress of the training reaches every quantizer that follows it, in whatever layer it is."""

import numpy as np
import pytest
from conftest import array

from tfq.backend.keras import keras
from tfq.callbacks import QuantizerProgress
from tfq.layers import QuantActivation, QuantDense
from tfq.quantizers import IRNetInputs, LSQWeights, ReCUWeights, ReSTEWeights


class Seen(keras.callbacks.Callback):
    """The progress that a training step used, of each layer, epoch by epoch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        inner = self.model.get_layer("inner")
        states = (inner.get_layer("irnet").input_arguments, inner.get_layer("recu").kernel_arguments)
        states += (self.model.get_layer("reste").kernel_arguments,)
        self.found.append([float(array(state["progress"])) for state in states])


@pytest.fixture(scope="module")
def model():
    x = keras.Input((3,))
    y = QuantDense(3, kernel_quantizer=ReCUWeights(), name="recu")(QuantActivation(IRNetInputs(), name="irnet")(x))
    inner = keras.Model(x, y, name="inner")
    x = keras.Input((3,))
    y = QuantDense(2, kernel_quantizer=LSQWeights(2))(inner(x))
    model = keras.Model(x, QuantDense(1, kernel_quantizer=ReSTEWeights(), name="reste")(y))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    ("epochs", "initial", "expected"), [(None, 0, [0, 0.25, 0.5, 0.75]), (8, 2, [0.25, 0.375]), (2, 1, [0.5, 1, 1])]
)
def test_all_follow_it(model, epochs, initial, expected):
    seen = Seen()
    images, labels = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    options = {"epochs": 4, "initial_epoch": initial, "callbacks": [QuantizerProgress(epochs), seen], "verbose": 0}
    model.fit(images, labels, **options)
    assert seen.found == [3 * [progress] for progress in expected]
