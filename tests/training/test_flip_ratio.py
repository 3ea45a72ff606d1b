"""Shares of weights that change their level, of kernels that are changed by hand."""

import numpy as np
import pytest

from tfq.backend.keras import keras
from tfq.callbacks import FlipRatio
from tfq.layers import QuantDense
from tfq.quantizers import DoReFaInputs, DoReFaWeights, TernaryWeights, XnorWeights

START = np.array([[-0.9, -0.5, -0.1, 0.1], [0.5, 0.9, -0.3, 0.3]], "float32")


def ratios(layers, edit, **options):
    """The callback after an epoch in which `edit` stood for training, and its logs."""
    x = keras.Input((2,))
    inner = keras.Sequential([keras.Input((2,)), layers[0]], name="inner")
    y = keras.layers.Add()([inner(x), layers[0](x), *(layer(x) for layer in layers[1:])])
    callback = FlipRatio(**options)
    callback.set_model(keras.Model(x, y))
    for layer in layers:
        layer.set_weights([START])
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    edit()
    logs = {}
    callback.on_epoch_end(0, logs)
    return callback, logs


def dense(quantizer, name=None):
    return QuantDense(4, use_bias=False, kernel_quantizer=quantizer, name=name)


# (row, column, new value) of single weights.
@pytest.mark.parametrize(
    ("quantizer", "changes", "flips"),
    [
        (XnorWeights(), [(0, 0, 0.9), (0, 1, -0.9), (0, 2, 0.1)], 2),
        # The mean of each column is taken off: half of the sum of two weights, of which one moves past the other.
        (XnorWeights(center=True), [(0, 0, 0.6)], 2),
        (XnorWeights(center=True), [(0, 0, 0.4)], 0),  # its sign is another one, its place among the two is not
        (TernaryWeights(), [(0, 0, 0.0), (0, 2, 0.9), (1, 0, -0.5)], 3),  # to 0, from 0, and across
        (DoReFaWeights(1), [(0, 0, 0.9)], 1),
        (DoReFaWeights(2), [(0, 1, -0.9), (0, 2, 0.5)], 2),  # neither changes its sign alone
        (DoReFaInputs(2), [(0, 3, 0.9)], 1),
        (DoReFaWeights(32), [(0, 0, 0.9)], None),
        (None, [(0, 0, 0.9)], None),
    ],
)
def test_levels_that_change(quantizer, changes, flips):
    layer, kernel = dense(quantizer), START.copy()
    for row, column, value in changes:
        kernel[row, column] = value
    _, logs = ratios([layer], lambda: layer.set_weights([kernel]))
    assert logs == ({} if flips is None else {"flip_ratio": flips / 8})


@pytest.mark.parametrize("quantizer", [XnorWeights(), TernaryWeights(), DoReFaWeights(1), DoReFaWeights(2)])
def test_a_scale_that_changes_is_no_flip(quantizer):
    layer = dense(quantizer)
    _, logs = ratios([layer], lambda: layer.set_weights([START * 1.01]))
    assert logs == {"flip_ratio": 0}


def test_layer_by_layer_and_what_is_left_out():
    binary, ternary, unknown = dense(XnorWeights(), "binary"), dense(TernaryWeights(), "ternary"), dense(abs, "unknown")
    lines, changed = [], START.copy()
    changed[0, 0] = 0.9
    callback, logs = ratios([binary, ternary, unknown], lambda: binary.set_weights([changed]), per_layer=True, log=lines.append)
    shares = {"inner/binary": 1 / 8, "ternary": 0.0}  # the first is called twice, and counts once
    assert callback.ratios == shares
    assert logs == {"flip_ratio": 1 / 16, **{f"flip_ratio/{path}": share for path, share in shares.items()}}
    callback.on_epoch_begin(1)
    assert lines == ["FlipRatio does not count unknown: levels are known of quantizers that tell their grid, as those of tfq"]


class Network(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.head = keras.layers.Flatten(), dense(XnorWeights())

    def call(self, inputs):
        return self.head(self.flat(inputs))


class HalfBuilt(Network):
    def __init__(self):
        super().__init__()
        self.flat = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), dense(XnorWeights())])


@pytest.mark.tensorflow_only
def test_layers_that_keras_builds_in_the_first_batch_beside_others():
    images, labels = np.random.default_rng(0).normal(size=(32, 4, 4, 1)).astype("float32"), np.arange(32) % 4
    for batch_size, in_first in ((16, 2), (32, 1)):
        model, callback = HalfBuilt(), FlipRatio(per_layer=True)
        model.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        history = model.fit(images, labels, batch_size=batch_size, epochs=2, verbose=0, callbacks=[callback]).history
        del history["loss"]
        assert sorted(len(ratios) for ratios in history.values()) == [in_first, 2, 2]


@pytest.mark.parametrize(
    "make",
    [Network, pytest.param(lambda: keras.Sequential([Network().flat, dense(XnorWeights())]), marks=pytest.mark.tensorflow_only)],
)
def test_models_that_keras_builds_in_the_first_batch(make):
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    images, labels = generator.normal(size=(32, 4, 4, 1)).astype("float32"), generator.integers(0, 4, 32)
    model = make()
    model.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found = model.fit(images, labels, batch_size=16, epochs=2, verbose=0, callbacks=[FlipRatio()]).history["flip_ratio"]
    assert len(found) == 2
    assert 0 < found[0] < 1
