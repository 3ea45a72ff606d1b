"""Batches: what they hold, that they are a function of (seed, epoch, batch), and that `fit` sees the right ones."""

import threading
import time

import numpy as np
import pytest
from conftest import ROOT

from tfq import callbacks, data
from tfq.backend.keras import keras, ops
from tfq.data import augment

MEAN, STD = np.float32([0.4914, 0.4822, 0.4465]), np.float32([0.2470, 0.2435, 0.2616])


@pytest.fixture(scope="module")
def images():
    with np.load(ROOT / "tests" / "data" / "cifar10_slice.npz") as file:
        return file["x_train"], file["y_train"].astype("int32")


def batches(images, **options):
    return data.Batches(*images, 50, MEAN, STD, **options)


def training(images, epoch=0, seed=3):
    made = batches(images, crop=True, flip=True, shuffle=True, seed=seed)
    made.set_epoch(epoch)
    return made


def everything(made):
    return tuple(np.concatenate(parts) for parts in zip(*(made[i] for i in range(len(made))), strict=True))


def pixels(normalized):
    """Undo the normalization; exact, since values of neighbouring pixels are 1/255/std apart, far more than float32 errors."""
    return np.rint((normalized.astype("float64") * STD + MEAN) * 255).astype("uint8")


def test_plain_batches_are_the_normalized_images_in_order(images):
    made = batches(images)
    x, y = everything(made)
    assert [len(made[i][0]) for i in (0, 7)] == [50, 34]
    assert len(made) == 8
    assert made.num_images == 384
    assert x.dtype == np.float32
    assert y.dtype == np.int32
    # Two roundings of float32 (2^-24 each, relative) on terms of up to 2.1 and 4.2, and those of scale and shift themselves.
    np.testing.assert_allclose(x, (images[0] / 255.0 - MEAN.astype("float64")) / STD, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(y, images[1])


def test_shuffling_permutes_images_with_their_labels(images):
    x, y = everything(batches(images, shuffle=True, seed=1))
    found = {image.tobytes(): label for image, label in zip(pixels(x), y, strict=True)}
    assert found == {image.tobytes(): label for image, label in zip(*images, strict=True)}
    assert not np.array_equal(y, images[1])


def test_batches_depend_on_seed_and_epoch_and_on_nothing_else(images):
    expected = everything(training(images, epoch=2))
    made = training(images, epoch=0)
    np.random.seed(0)
    made[3], made[0]
    made.set_epoch(2)
    made.on_epoch_end()  # of the base class: Keras 3 also calls it before the first epoch
    made[5]
    np.testing.assert_array_equal(everything(made)[0], expected[0])
    np.testing.assert_array_equal(everything(made)[1], expected[1])
    for other in (training(images, epoch=3), training(images, epoch=2, seed=4)):
        assert not np.array_equal(everything(other)[1], expected[1])


def test_augmentation_is_new_in_each_epoch_batch_and_seed():
    # The order is fixed and all images are the same one, so that differences come from the augmentation alone.
    image = np.arange(100 * 32 * 32 * 3).reshape(100, 32, 32, 3)[:1] % 251
    same = np.repeat(image.astype("uint8"), 100, axis=0), np.zeros(100, "int32")
    made = {}
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        drawn = batches(same, crop=True, seed=seed)
        drawn.set_epoch(epoch)
        made |= {(seed, epoch, i): drawn[i][0].tobytes() for i in (0, 1)}
    assert len(set(made.values())) == 6


@pytest.mark.parametrize("shape", [(32, 32, 3), (8, 12, 1)])
def test_crop_equals_the_crop_of_each_padded_image(shape):
    offsets = [(top, left) for top in range(9) for left in range(9)]
    images = np.random.default_rng(0).integers(1, 256, (81, *shape), dtype="uint8")
    height, width, _ = shape
    framed = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    expected = np.stack([f[t : t + height, left : left + width] for f, (t, left) in zip(framed, offsets, strict=True)])
    np.testing.assert_array_equal(augment.crop(images, *np.transpose(offsets)), expected)


def test_mirror_turns_the_chosen_images_alone(images):
    chosen = np.arange(384) % 3 == 0
    mirrored = images[0].copy()
    augment.mirror(mirrored, chosen)
    np.testing.assert_array_equal(mirrored[chosen], images[0][chosen][:, :, ::-1])
    np.testing.assert_array_equal(mirrored[~chosen], images[0][~chosen])


def test_each_image_has_its_own_uniform_crop_and_coin():
    count = 8100
    # Red is the row and green the column of a pixel, so that one pixel tells the crop, and its neighbour the flip.
    image = np.zeros((16, 16, 3), "uint8")
    image[..., 0], image[..., 1] = np.indices((16, 16))
    drawn = augment.draw(np.random.default_rng(0), count, crop=True, flip=True)
    drawn = augment.augment(np.repeat(image[None], count, axis=0), drawn).astype(int)
    flipped = drawn[:, 8, 8, 1] > drawn[:, 8, 9, 1]
    drawn[flipped] = drawn[flipped, :, ::-1]
    top, left = drawn[:, 8, 8, 0] - 4, drawn[:, 8, 8, 1] - 4
    counts = np.bincount(top * 9 + left, minlength=81)
    # 81 offsets, 100 expected of each; 5 standard deviations of a binomial count.
    assert counts.shape == (81,)
    assert np.all(abs(counts - 100) < 5 * np.sqrt(100 * 80 / 81))
    assert abs(flipped.sum() - count / 2) < 5 * np.sqrt(count / 4)


def test_no_flip_without_leave(images):
    x, _ = everything(batches(images, crop=True))
    for image, original in zip(pixels(x)[:40], images[0], strict=False):
        framed = np.pad(original, ((4, 4), (4, 4), (0, 0)))
        crops = (framed[top : top + 32, left : left + 32] for top in range(9) for left in range(9))
        assert any(np.array_equal(image, crop) for crop in crops)


def test_threads_get_what_one_gets(images):
    expected = {epoch: everything(training(images, epoch)) for epoch in (0, 1)}
    made = training(images)
    wrong = []

    def read():
        for _ in range(20):
            x, y = made[2]
            if not any(np.array_equal(x, e[0][100:150]) and np.array_equal(y, e[1][100:150]) for e in expected.values()):
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        made.set_epoch(1 - made.epoch)  # a batch is of the one epoch or of the other, never of both
    assert not wrong


def test_timer_counts_the_time_of_making(images):
    made = training(images)
    started = time.perf_counter()
    made[0], made[1]
    assert 0 < made.seconds <= time.perf_counter() - started
    made.reset_timer()
    assert made.seconds == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((4, 8, 8, 3), "float32")}, r"uint8 \(N, H, W, C\).*got float32 \(4, 8, 8, 3\)"),
        ({"x": np.zeros((0, 8, 8, 3), "uint8"), "y": []}, r"at least one; got uint8 \(0, 8, 8, 3\)"),
        ({"y": np.zeros(3, int)}, r"\(4,\); got \(3,\)"),
        ({"mean": [0.5]}, r"\(3,\); got \(1,\) and \(3,\)"),
        ({"batch_size": 0}, "at least 1.*got 0 and 0"),
        ({"seed": -1}, "at least 0; got 2 and -1"),
    ],
)
def test_bad_arguments(change, message):
    good = {"x": np.zeros((4, 8, 8, 3), "uint8"), "y": np.zeros(4, int), "batch_size": 2, "mean": MEAN, "std": STD}
    with pytest.raises(ValueError, match=message):
        data.Batches(**good | change)


def test_there_is_no_batch_behind_the_last(images):
    with pytest.raises(IndexError, match="there is no batch 8, only 0 to 7"):
        batches(images)[8]


class Slow(keras.callbacks.Callback):
    """Leaves Keras time to make batches ahead before the epoch is set."""

    def on_epoch_begin(self, epoch, logs=None):
        time.sleep(0.2)


class Weights(keras.callbacks.Callback):
    """The weights after each epoch."""

    def __init__(self):
        super().__init__()
        self.after = {}

    def on_epoch_end(self, epoch, logs=None):
        self.after[epoch] = self.model.get_weights()[0].ravel()


@pytest.mark.parametrize("given", [lambda made: made, data.feed], ids=["batches", "feed"])
@pytest.mark.parametrize("initial_epoch", [0, 4])
def test_fit_sees_the_batches_of_each_epoch(images, initial_epoch, given):
    # With the loss y * p(x) of a linear p, SGD at rate 1 subtracts mean(y x) of each batch: its weights add up what it was shown.
    keras.backend.clear_session()
    model = keras.Sequential(
        [
            keras.layers.Input((32, 32, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, p: (ops.cast(y, "float32") + 1) * p)
    made, weights = training(images), Weights()
    model.fit(
        given(made),
        validation_data=given(batches(images)),
        initial_epoch=initial_epoch,
        epochs=initial_epoch + 3,
        shuffle=False,
        verbose=0,
        callbacks=[Slow(), callbacks.DataEpoch(made), weights],
    )
    shown, before = {}, 0
    for epoch, after in weights.after.items():
        shown[epoch], before = before - after, after
    assert list(shown) == [initial_epoch, initial_epoch + 1, initial_epoch + 2]
    sums = {epoch: checksum(training(images, epoch)) for epoch in range(initial_epoch + 3)}
    for epoch, seen in shown.items():
        # Sums of 384 float32 terms of up to 20: errors near 1e-4 at worst; other epochs are off by more than 1.
        np.testing.assert_allclose(seen, sums[epoch], rtol=0, atol=1e-3)
        assert min(abs(seen - other).max() for e, other in sums.items() if e != epoch) > 1


@pytest.mark.tensorflow_only
def test_feed_has_no_autotuner(images):
    # Its thread is what holds the end of an epoch up; whether it does is a race, so what is seen here is that there is none.
    assert data.feed(batches(images)).options().autotune.enabled is False


def checksum(made):
    """Sum over the batches of mean(y x)."""
    parts = (made[i] for i in range(len(made)))
    return sum((x.astype("float64") * (y + 1)[:, None, None, None]).mean(axis=0).ravel() for x, y in parts)
