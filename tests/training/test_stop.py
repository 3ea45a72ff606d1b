"""Runs at chance are stopped, runs above it are not."""

from types import SimpleNamespace

import numpy as np
import pytest

from tfq.callbacks import StopOnCollapse
from tfq.training.history import History


def stopped_after(accuracies, num_classes, *images):
    """The number of epochs before the stop, or None."""
    history, model = History(), SimpleNamespace(stop_training=False)
    callback = StopOnCollapse(history, num_classes, *images)
    callback.set_model(model)
    for epoch, accuracy in enumerate(accuracies):
        history.append(epoch, {"top1": accuracy})
        callback.on_epoch_end(epoch)
        if model.stop_training:
            assert "chance" in callback.reason
            return epoch + 1
    return None


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("accuracies", "num_classes", "images", "epochs"),
    [
        ([0.1] * 12, 10, (), 10),
        ([0.5] * 12, 2, (), 10),
        (0.53 + 0.006 * np.arange(30), 2, (), None),
        ([0.53] * 12, 2, (500,), 10),  # of so few images it may be luck
        ([0.53] * 12, 2, (5000,), None),
        ([0.011] * 12, 100, (1000,), 10),
        ([0.02] * 12, 100, (50_000,), None),
        ([0.3, 0.4, *[0.1] * 5], 10, (), 5),  # it has been above, and falls back
        ([0.8, 0.9, *[0.5] * 5], 2, (), 5),
        ([0.3, 0.1, 0.1, 0.2] * 4, 10, (), None),
        ([0.19, *[0.1] * 9, 0.3], 10, (), None),  # it was never twice at chance
        ([0.6, 0.8, 0.9, 0.9, 0.9, 1.0, 0.9, 0.9], 2, (10,), None),  # far from chance, however few the images are
        ([0.7] * 12, 2, (10,), 10),
        ([0.0, *[0.002] * 5, 0.01], 1000, (500,), None),  # one image of 500 is no rise
        ([1.0] * 12, 1, (), None),
    ],
)
def test_chance(accuracies, num_classes, images, epochs):
    assert stopped_after(accuracies, num_classes, *images) == epochs


@pytest.mark.tensorflow_only
def test_nothing_to_judge_by_is_refused():
    with pytest.raises(ValueError, match="num_classes=2, num_images=0"):
        stopped_after([], 2, 0)


@pytest.mark.tensorflow_only
def test_guesses_are_stopped():
    """Of 1,000 runs of two classes by the toss of a coin nearly all, at the first epoch at which they can be."""
    tossed = np.random.default_rng(0).binomial(10_000, 0.5, (1000, 10)) / 10_000
    assert np.mean([stopped_after(run, 2) == 10 for run in tossed]) > 0.97
