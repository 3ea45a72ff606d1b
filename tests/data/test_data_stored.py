"""Images on disk: what is known of them is what is known of the same images in memory; they are read once, and streamed."""

import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tfq import data
from tfq.data import augment, memory, scan, shards, streams
from tfq.distribute.shards import TestShard, TrainingShard
from tfq.training import run_data

pytestmark = [pytest.mark.keras3_only]

X = np.random.default_rng(0).integers(0, 256, (37, 6, 8, 3)).astype("uint8")
Y = np.arange(37) % 4
TRAIN = 30
ARRAYS = {"x_train": X[:TRAIN], "y_train": Y[:TRAIN], "x_test": X[TRAIN:], "y_test": Y[TRAIN:]}
NAMES = ("cat", "dog", "eel", "fox")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The same images as shards, as an .npz file, and as image files."""
    root = tmp_path_factory.mktemp("places")
    (root / "shards").mkdir()
    for first, last in ((0, 20), (20, 30)):
        np.save(root / "shards" / f"x_train-{first:02}.npy", X[first:last])
    for name in ("y_train", "x_test", "y_test"):
        np.save(root / "shards" / f"{name}.npy", ARRAYS[name])
    (root / "shards" / "labels.txt").write_text("\n".join(NAMES))
    np.savez(root / "mine.npz", **ARRAYS, labels=np.array(NAMES))
    for index, (image, label) in enumerate(zip(X, Y, strict=True)):
        folder = root / "folder" / ("train" if index < TRAIN else "test") / NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index:02}.png")
    (root / "folder" / "train" / "cat" / "broken.png").write_bytes((root / "folder/train/cat/00.png").read_bytes()[:60])
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFQ_CACHE", str(tmp_path / "cache"))


def stored(places, name, log=lambda line: None):
    path = {"shards": places / "shards", "npz": places / "mine.npz", "folder": places / "folder"}[name]
    return data.load(name, path, log, stream=True)


# --- what is known of them


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", ["shards", "npz", "folder"])
def test_what_is_known_is_that_of_the_images_in_memory(name, places):
    lines = []
    found = stored(places, name, lines.append)
    whole = data.load("folder", places / "folder") if name == "folder" else data.load("npz", places / "mine.npz")
    known, expected = run_data.describe(found), run_data.describe(whole)
    assert {**known, "dataset": 0, "source": 0} == {**expected, "dataset": 0, "source": 0}
    assert (found.labels, str(found).split(":")[1]) == (NAMES, str(whole).split(":")[1])
    np.testing.assert_array_equal(np.asarray(found.x_train), whole.x_train)
    np.testing.assert_array_equal(found.y_test, whole.y_test)
    assert any("broken.png" in line for line in lines) == (name == "folder")


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", ["shards", "folder"])
def test_later_starts_read_no_image_until_a_file_changes(name, places, monkeypatch):
    lines = ([], [])
    first = stored(places, name, lines[0].append)
    monkeypatch.setattr(scan, "scan", lambda *parts: pytest.fail("the images are read again"))
    assert stored(places, name, lines[1].append).digest == first.digest
    assert lines[0] == lines[1]
    path = places / ("shards/x_test.npy" if name == "shards" else "folder/test/cat/32.png")
    known = path.stat()
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns + 1))
    with pytest.raises(pytest.fail.Exception):
        stored(places, name)


@pytest.mark.tensorflow_only
def test_chosen_images_stay_on_disk(places):
    found = stored(places, "shards")
    x, y, held, _ = data.hold_out(found, 5, seed=1)
    assert isinstance(x, data.StoredImages)
    assert (x.shape, held.shape, x[:3].nbytes) == ((25, 6, 8, 3), (5, 6, 8, 3), 3 * 6 * 8 * 3)
    whole = data.hold_out(data.load("npz", places / "mine.npz"), 5, seed=1)
    np.testing.assert_array_equal(np.asarray(x[2:9]), whole[0][2:9])
    np.testing.assert_array_equal(y, whole[1])


@pytest.mark.tensorflow_only
def test_what_does_not_fit_is_said_before_it_is_read(places, monkeypatch):
    monkeypatch.setattr(memory, "_available", lambda: 100)
    with pytest.raises(data.DataError, match=r"images take [\d,]+ bytes of memory, and 100 are available; --stream"):
        data.load("npz", places / "mine.npz")
    with pytest.raises(data.DataError, match="--stream leaves them on disk"):
        data.load("folder", places / "folder")
    monkeypatch.setattr(shards.shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(data.DataError, match=r"bytes are needed in .*unpacked.*, whose disk has 100 free; TFQ_CACHE"):
        stored(places, "npz")
    assert not [path for path in (memory.Path(os.environ["TFQ_CACHE"]) / "unpacked").iterdir() if path.is_dir()]


@pytest.mark.tensorflow_only
def test_images_are_read_from_files_of_either_order_and_one_that_is_changed_meanwhile_is_named(tmp_path, monkeypatch):
    for name, array in {"x_train-0": np.asfortranarray(X[:20]), "x_train-1": X[20:TRAIN]}.items():
        np.save(tmp_path / f"{name}.npy", array)
    for name in ("y_train", "x_test", "y_test"):
        np.save(tmp_path / f"{name}.npy", ARRAYS[name])
    monkeypatch.chdir(tmp_path.parent)
    images = data.load("shards", tmp_path.name).x_train
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(np.asarray(images), X[:TRAIN])
    path = tmp_path / "x_train-1.npy"
    os.truncate(path, path.stat().st_size - 1)
    np.testing.assert_array_equal(images.image(28), X[28])
    with pytest.raises(OSError, match=r"ends before image 9 does: .*x_train-1.npy"):
        images.image(29)
    np.save(tmp_path / "other.npy", X[20:TRAIN])
    (tmp_path / "other.npy").rename(path)
    with pytest.raises(OSError, match=r"was replaced by another after it was loaded: .*x_train-1.npy"):
        images.image(28)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, r"has neither x_test.npy nor x_test-\*.npy"),
        ({"x_test": X[TRAIN:].astype("float32")}, r"x_test.npy must hold uint8 images .*; got float32 \(7, 6, 8, 3\)"),
        ({"x_test": X[TRAIN:, :5]}, r"training images are \(6, 8, 3\), test images \(5, 8, 3\)"),
        ({"x_train-1": X[:2, :, :5]}, r"one size: .*x_train-1.npy has \(6, 5, 3\), .*x_train-0.npy has \(6, 8, 3\)"),
        ({"y_train": Y}, "y_train must be 32 labels"),
        ({"y_test": np.int64(1)}, r"labels must be arrays of one form: .*y_test.npy is \(\)"),
        ({"y_test-1": Y[:1]}, "has both y_test.npy and y_test-1.npy"),
    ],
)
def test_other_shards_are_refused(changes, message, tmp_path):
    arrays = {"x_train-0": X[:30], "x_train-1": X[:2], "y_train": Y[:32], "x_test": X[TRAIN:], "y_test": Y[TRAIN:], **changes}
    for name, array in arrays.items():
        if array is not None:
            np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(data.DataError, match=message):
        data.load("shards", tmp_path)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, "mine.npz has no x_test; it holds x_train, y_train, y_test"),
        ({"labels": np.array(["a\nb", "c", "d", "e"])}, r"name of class 0 must be a line .*; got 'a\\nb'"),
        ({"labels": np.arange(4)}, "labels must be the names of the classes"),
    ],
)
def test_what_is_refused_of_a_file_in_memory_is_refused_before_it_is_unpacked(changes, message, tmp_path):
    arrays = {key: array for key, array in {**ARRAYS, **changes}.items() if array is not None}
    np.savez(tmp_path / "mine.npz", **arrays)
    for stream in (False, True):
        with pytest.raises(data.DataError, match=message):
            data.load("npz", tmp_path / "mine.npz", stream=stream)


@pytest.mark.tensorflow_only
def test_names_of_an_unpacked_file_may_be_bytes(tmp_path):
    np.savez(tmp_path / "mine.npz", **ARRAYS, labels=np.array([f"{name}ä".encode() for name in NAMES]))
    found = [data.load("npz", tmp_path / "mine.npz", stream=stream).labels for stream in (False, True)]
    assert found[0] == found[1] == tuple(f"{name}ä" for name in NAMES)


@pytest.mark.tensorflow_only
def test_a_start_that_names_the_same_files_otherwise_leaves_out_the_same(places, monkeypatch):
    first = stored(places, "folder")
    monkeypatch.chdir(places)
    other = data.load("folder", "folder", stream=True)
    assert other.digest == first.digest
    np.testing.assert_array_equal(np.asarray(other.x_train), np.asarray(first.x_train))


@pytest.mark.tensorflow_only
def test_an_empty_folder_of_a_class_changes_the_digest(places, tmp_path):
    shutil.copytree(places / "folder", tmp_path / "folder")
    before = data.load("folder", tmp_path / "folder", stream=True)
    (tmp_path / "folder" / "train" / "ape").mkdir()
    after, whole = (data.load("folder", tmp_path / "folder", stream=stream) for stream in (True, False))
    assert before.digest != after.digest == run_data.describe(whole)["digest"]


def test_only_own_data_are_streamed():
    with pytest.raises(data.DataError, match="--stream is for --dataset=npz or folder; got --dataset=digits"):
        data.load("digits", stream=True)


# --- batches


def batches(found, batch_size=8, **options):
    options = {"crop": True, "flip": True, "shuffle": True, "seed": 3, **options}
    return data.batches_of(found.x_train, found.y_train, batch_size, [0.0] * 3, [1 / 255] * 3, **options)


def epoch(made, number=0):
    """The images, as pixels, and the labels of an epoch."""
    made.set_epoch(number)
    parts = [made[index] for index in range(len(made))]
    return np.concatenate([x for x, _ in parts]).round().astype("uint8"), np.concatenate([y for _, y in parts])


@pytest.fixture
def found(places):
    pytest.importorskip("grain", reason="needs tfq[stream]")
    return stored(places, "shards")


def rows(images):
    return sorted(image.tobytes() for image in images)


def test_an_epoch_has_each_image_once_augmented_by_seed_epoch_and_place(found):
    images, labels = epoch(batches(found), 5)
    expected = [
        augment.augment(image[None], augment.draw(streams.image(3, 5, place), 1, crop=True, flip=True))[0]
        for place, image in enumerate(X[:TRAIN])
    ]
    assert rows(images) == rows(expected)
    by_image = {image.tobytes(): label for image, label in zip(expected, Y, strict=False)}
    assert [by_image[image.tobytes()] for image in images] == labels.tolist()
    assert labels.tolist() != Y[:TRAIN].tolist()


def test_batches_of_another_size_hold_the_same_images_in_the_same_order(found):
    first, second = epoch(batches(found, 8)), epoch(batches(found, 11))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_any_batch_is_a_function_of_seed_epoch_and_index(found):
    made = batches(found)
    expected = [made[index][0] for index in range(4)]
    made.set_epoch(1)
    others = made[3][0]
    assert not np.array_equal(others, expected[3])
    made.set_epoch(0)
    for index in (2, 0, 1, 3, 3):
        np.testing.assert_array_equal(made[index][0], expected[index])
    with pytest.raises(IndexError, match="only 0 to 3"):
        made[4]
    assert not np.array_equal(batches(found, seed=4)[0][0], expected[0])


def test_unshuffled_ones_are_the_images_in_order(found):
    images, labels = epoch(batches(found, shuffle=False, crop=False, flip=False))
    np.testing.assert_array_equal(images, X[:TRAIN])
    np.testing.assert_array_equal(labels, Y[:TRAIN])


def test_workers_share_each_batch(found):
    whole, plain = batches(found, 4), batches(found, 4, shuffle=False, crop=False, flip=False)
    whole.set_epoch(2)
    training = [TrainingShard(whole, worker, 2)[1] for worker in range(2)]
    test = [TestShard(plain, worker, 2, 2)[1] for worker in range(2)]
    for parts, of_all in ((training, whole[1]), (test, plain[1])):
        for part, array in enumerate(of_all):
            np.testing.assert_array_equal(np.concatenate([each[part] for each in parts]), array)


def test_fit_sees_them(found):
    from tfq.backend.keras import keras

    model = keras.Sequential([keras.Input((6, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made = batches(found)
    with data.feeding(model, made, made) as fed:
        history = model.fit(fed.images, validation_data=fed.val_images, epochs=1, shuffle=False, verbose=0)
    assert np.isfinite(history.history["val_loss"][0])
