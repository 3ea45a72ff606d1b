"""HyperparameterScheduler in `fit`."""

import numpy as np
import pytest
from conftest import array

from tfq.backend.keras import is_legacy, keras
from tfq.larq.callbacks import HyperparameterScheduler
from tfq.larq.optimizers import Bop, CaseOptimizer

rules = keras.optimizers.legacy if is_legacy else keras.optimizers
RATE = "lr" if is_legacy else "learning_rate"


def halves(index):
    return 0.5**index


class Spy(keras.callbacks.Callback):
    """What the optimizer's hyperparameter is at the end of each batch."""

    def __init__(self, optimizer, name):
        super().__init__()
        self.asked, self.hyperparameter, self.seen = optimizer, name, []

    def on_train_batch_end(self, batch, logs=None):
        _ = self.model  # lets JAX give variables their values
        self.seen.append(float(array(getattr(self.asked, self.hyperparameter))))


@pytest.fixture(scope="module")
def fit():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    x = np.ones((12, 2), "float32")

    def run(optimizer, *callbacks, epochs=3):
        model.compile(optimizer, "mse")
        return model.fit(x, x[:, :1], epochs=epochs, batch_size=4, callbacks=list(callbacks), verbose=0).history

    return run


def test_by_epoch(fit, capsys):
    optimizer = rules.SGD(9.0)
    spy = Spy(optimizer, RATE)
    logs = fit(optimizer, HyperparameterScheduler(halves, RATE, verbose=1, log_name="rate"), spy)
    assert logs["rate"] == [1.0, 0.5, 0.25]
    assert spy.seen == [1.0] * 3 + [0.5] * 3 + [0.25] * 3
    assert "Epoch 2: rate is now 0.25." in capsys.readouterr().out


def test_by_step_and_of_an_inner_optimizer(fit):
    bop, rest = Bop(), rules.SGD(0.0)
    case = CaseOptimizer((lambda variable: len(variable.shape) == 2, bop), default_optimizer=rest)
    spy, other = Spy(bop, "gamma"), Spy(rest, RATE)
    fit(
        case,
        HyperparameterScheduler(halves, "gamma", optimizer=bop, update_freq="step"),
        HyperparameterScheduler(lambda index, value: value + 0.25, RATE, optimizer=rest),
        spy,
        other,
        epochs=2,
    )
    assert spy.seen == [halves(step) for step in range(6)]
    assert other.seen == [0.25] * 3 + [0.5] * 3


@pytest.mark.parametrize(
    ("optimizer", "name", "frequency", "message"),
    [
        (rules.SGD(0.1), "gamma", "batch", "update_freq must be 'epoch' or 'step'; got update_freq='batch'"),
        (rules.SGD(0.1), "gamma", "epoch", "SGD has no hyperparameter 'gamma'"),
        (Bop(gamma=keras.optimizers.schedules.CosineDecay(0.1, 10)), "gamma", "epoch", "given by a schedule of its own"),
        pytest.param(rules.SGD(0.1), "lr", "epoch", "Keras 3 calls it 'learning_rate'", marks=pytest.mark.keras3_only),
    ],
)
def test_what_it_refuses(fit, optimizer, name, frequency, message):
    with pytest.raises(ValueError, match=message):
        fit(optimizer, HyperparameterScheduler(halves, name, update_freq=frequency))
