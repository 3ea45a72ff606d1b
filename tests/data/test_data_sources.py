"""The data sets other than CIFAR-10: digits, mnist, cifar100, the user's arrays; and the split of held-out images."""

import hashlib
import io
import pickle
import tarfile
import urllib.request

import keras
import numpy as np
import pytest
from conftest import ROOT
from running import slow_marks

from tfq import data
from tfq.data import dataset as datasets

pytestmark = slow_marks("tf_keras", "jax")  # the same on every backend

KERAS_FILES = keras.src.utils.file_utils


@pytest.fixture(scope="module")
def arrays():
    with np.load(ROOT / "tests" / "data" / "cifar10_slice.npz") as file:
        return dict(file)


@pytest.fixture
def no_network(monkeypatch):
    proxy = urllib.request.ProxyHandler({"https": "http://127.0.0.1:9"})  # the discard port: nobody answers
    monkeypatch.setattr("urllib.request._opener", urllib.request.build_opener(proxy))


@pytest.fixture
def keras_cache(monkeypatch, tmp_path):
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    folder = tmp_path / "datasets"
    folder.mkdir()
    return folder


@pytest.fixture
def any_hash(monkeypatch):
    """Lets Keras take the small files that tests lay into its cache; it accepts none but the published ones otherwise."""
    monkeypatch.setattr(KERAS_FILES, "validate_file", lambda *args, **kwargs: True)


def test_digits():
    made = data.load("digits")
    assert made.x_train.shape == (1437, 32, 32, 3)
    assert made.x_test.shape == (360, 32, 32, 3)
    assert made.x_train.dtype == made.x_test.dtype == np.uint8
    assert made.y_train.dtype == made.y_test.dtype == np.int32
    assert set(made.y_train) == set(made.y_test) == set(range(10))
    assert made.num_classes == 10
    assert not made.flip
    assert (made.x_train.min(), made.x_train.max()) == (0, 255)


def test_digits_are_those_of_scikit_learn_each_once():
    from sklearn.datasets import load_digits

    made = data.load("digits")
    small = np.concatenate([made.x_train, made.x_test])[:, ::4, ::4, 0]
    found = sorted(zip(map(bytes, small), [*made.y_train, *made.y_test], strict=True))
    originals = load_digits()
    expected = sorted(zip(map(bytes, np.rint(originals.images * 255 / 16).astype("uint8")), originals.target, strict=True))
    assert found == expected


def test_split_of_the_digits_never_changes():
    # The same in every environment and release, or accuracies could not be compared.
    found = hashlib.sha256(data.load("digits").y_test.astype("uint8")).hexdigest()
    assert found == "78326c297ed5b04d99ee45f8fa208c1dabd6c49cb8fa66230238c95ceb33ee29"


def lay_mnist(folder, arrays):
    grey = {key: arrays[key][:, 2:30, 2:30, 0] for key in ("x_train", "x_test")}
    np.savez(folder / "mnist.npz", **grey, y_train=arrays["y_train"], y_test=arrays["y_test"])
    return grey


def test_mnist_from_the_cache_of_keras(arrays, keras_cache, any_hash):
    grey = lay_mnist(keras_cache, arrays)
    made = data.load("mnist")
    assert made.x_train.shape == (384, 32, 32, 3)
    for channel in range(3):
        np.testing.assert_array_equal(made.x_test[:, 2:30, 2:30, channel], grey["x_test"])
    assert made.x_test[:, [0, 1, 30, 31]].max() == made.x_test[:, :, [0, 1, 30, 31]].max() == 0
    np.testing.assert_array_equal(made.y_train, arrays["y_train"])
    assert (made.num_classes, made.flip) == (10, False)
    np.testing.assert_allclose(made.mean, (made.x_train / 255.0).mean((0, 1, 2)), rtol=1e-6)  # float32
    np.testing.assert_allclose(made.std, (made.x_train / 255.0).std((0, 1, 2)), rtol=1e-6)


def lay_cifar100(folder, arrays):
    with tarfile.open(folder / "cifar-100-python-target_archive", "w:gz") as tar:
        for name in ("train", "test"):
            planes = arrays[f"x_{name}"].transpose(0, 3, 1, 2).reshape(-1, 3072)
            labels = (arrays[f"y_{name}"].astype(int) * 11).tolist()
            content = pickle.dumps({b"data": planes, b"fine_labels": labels, b"coarse_labels": [0] * len(labels)})
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_cifar100_from_the_cache_of_keras(arrays, keras_cache, any_hash):
    lay_cifar100(keras_cache, arrays)
    made = data.load("cifar100")
    np.testing.assert_array_equal(made.x_train, arrays["x_train"])
    assert made.x_train.flags.c_contiguous
    np.testing.assert_array_equal(made.y_test, arrays["y_test"].astype(int) * 11)
    assert (made.num_classes, made.flip) == (100, True)


def test_settings_of_keras_for_channels_first_change_nothing(arrays, keras_cache, any_hash):
    lay_cifar100(keras_cache, arrays)
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        made = data.load("cifar100")
    finally:
        keras.config.set_image_data_format(before)
    np.testing.assert_array_equal(made.x_test, arrays["x_test"])


@pytest.mark.parametrize(("name", "file"), [("mnist", "mnist.npz"), ("cifar100", "cifar-100-python-target_archive")])
def test_no_network_is_one_error_that_says_what_to_do(name, file, keras_cache, no_network):
    with pytest.raises(data.DataError, match=rf"cannot load {name}: URL fetch failure on https.*datasets/{file} in") as caught:
        data.load(name)
    assert "\n" not in str(caught.value)


def save(path, arrays, **changes):
    np.savez(path, **{key: value for key, value in (arrays | changes).items() if value is not None})
    return path


def test_arrays_of_the_user(arrays, tmp_path):
    path = save(tmp_path / "mine.npz", arrays)
    made = data.load("npz", str(path))
    np.testing.assert_array_equal(made.x_test, arrays["x_test"])
    np.testing.assert_array_equal(made.y_train, arrays["y_train"])
    assert (made.num_classes, made.flip, made.source) == (10, False, f"from {path}")
    np.testing.assert_allclose(made.std, (arrays["x_train"] / 255.0).std((0, 1, 2)), rtol=1e-6)  # float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "has no y_test; it holds x_train, y_train, x_test"),
        ({"x_test": np.zeros((2, 64), "uint8")}, r"x_test must be images \(N, H, W, C\), or grey ones .*; got \(2, 64\)"),
        ({"y_train": np.zeros(3, int)}, r"y_train must be 384 labels, one an image: \(384,\), .*; got \(3,\)"),
        ({"y_train": np.zeros((384, 2, 2))}, r"y_train must be 384 labels, .*; got \(384, 2, 2\)"),
        ({"y_train": np.full(384, -1)}, "y_train must be whole numbers from 0 to 1048575; got -1"),
        ({"x_test": np.zeros((128, 8, 8, 3), "uint8")}, r"\(32, 32, 3\), test images \(8, 8, 3\)"),
        ({"x_train": np.array([None])}, "cannot be read as .npz: Object arrays cannot be loaded"),
    ],
)
def test_arrays_of_the_user_that_do_not_fit(arrays, tmp_path, changes, message):
    with pytest.raises(data.DataError, match=message):
        data.load("npz", save(tmp_path / "mine.npz", arrays, **changes))


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 and then nothing"])
def test_a_file_that_is_no_npz(tmp_path, content):
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=r"mine.npz cannot be read as .npz"):
        data.load("npz", path)


def test_a_single_array_is_no_npz(tmp_path):
    np.save(tmp_path / "mine.npy", np.zeros(3))
    with pytest.raises(data.DataError, match=r"mine.npy cannot be read as .npz: File is not a zip file"):
        data.load("npz", tmp_path / "mine.npy")


def test_npz_needs_a_file():
    with pytest.raises(data.DataError, match=r"None must be an .npz file with x_train, y_train, x_test, y_test"):
        data.load("npz")


def test_a_channel_without_contrast_can_be_normalized(tmp_path):
    x, y = np.full((4, 8, 8, 2), 51, "uint8"), np.arange(4)
    made = data.load("npz", save(tmp_path / "flat.npz", {"x_train": x, "y_train": y, "x_test": x, "y_test": y}))
    np.testing.assert_allclose(made.mean, 0.2, rtol=1e-6)  # float32
    np.testing.assert_array_equal(made.std, 1)


def test_unknown_data_set():
    with pytest.raises(data.DataError, match="'imagenet' is unknown; known are cifar10, cifar100, digits, folder, mnist, npz"):
        data.load("imagenet")


def test_a_data_dir_that_is_not_used_is_said_so(tmp_path):
    lines = []
    data.load("digits", tmp_path, log=lines.append)
    assert lines == [f"--data_dir={tmp_path} is not used: only cifar10, npz, folder and shards are looked for there"]


@pytest.fixture(scope="module")
def numbered():
    """A data set whose images say their number."""
    number = np.arange(200)
    x = np.broadcast_to(number.astype("uint8")[:, None, None, None], (200, 2, 2, 3))
    return datasets.make("numbered", (x, number, x[:5], number[:5]), 200, flip=False, source="test")


def test_hold_out_splits_the_training_set(numbered):
    x, y, held_x, held_y = data.hold_out(numbered, 30, seed=1)
    assert (len(x), len(held_x)) == (170, 30)
    assert sorted([*y, *held_y]) == list(range(200))
    np.testing.assert_array_equal(x[:, 0, 0, 0], y)
    np.testing.assert_array_equal(held_x[:, 0, 0, 0], held_y)


def test_hold_out_is_a_function_of_the_seed(numbered):
    held = [list(data.hold_out(numbered, 30, seed)[3]) for seed in (1, 1, 2)]
    assert held[0] == held[1]
    assert held[0] != held[2]


@pytest.mark.parametrize("count", [0, -1, 200, 5000])
def test_hold_out_of_too_many_or_none(numbered, count):
    with pytest.raises(data.DataError, match=rf"--holdout={count} must be from 1 to 199: numbered has 200 training images"):
        data.hold_out(numbered, count, seed=0)
