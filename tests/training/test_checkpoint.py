"""Checkpoints are whole or not there, and say what is wrong with them."""

import resource
import signal
import zipfile

import numpy as np
import pytest

from tfq import callbacks
from tfq.backend.keras import keras
from tfq.training import checkpoint
from tfq.training.history import History


def compiled_model(units=4):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(np.ones((8, 3)), np.ones((8, units)), verbose=0)
    return model


def weights(model):
    return [np.asarray(weight) for weight in model.get_weights()]


@pytest.fixture(params=[".keras", pytest.param(".h5", marks=pytest.mark.legacy_only)])
def path(request, tmp_path):
    return tmp_path / f"last{request.param}"


def test_round_trip(path):
    model = compiled_model()
    checkpoint.save(model, path, History([{"epoch": 0, "val_top1": 0.5}]))
    loaded, history = checkpoint.load(path)
    assert history.rows == [{"epoch": 0, "val_top1": 0.5}]
    fresh = compiled_model()
    checkpoint.restore(fresh, loaded)
    for found, expected in zip(weights(fresh), weights(model), strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(fresh.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_the_one_before_is_kept(path):
    for epoch in range(2):
        checkpoint.save(compiled_model(), path, History([{"epoch": e} for e in range(epoch + 1)]))
    assert checkpoint.load(path)[1].epochs == 2
    assert checkpoint.load(checkpoint.previous(path))[1].epochs == 1
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"previous{path.suffix}"]


def test_the_history_is_written_anew_beside_the_same_weights(path):
    model, history = compiled_model(), History([{"epoch": 0, "val_top1": 0.5}])
    history.append_trained(1, {"loss": 0.25})
    checkpoint.save(model, path, history)
    found = checkpoint.load(path)[1]
    assert (found.epochs, found.trained, found.unvalidated) == (1, 2, {"epoch": 1, "loss": 0.25})
    history.append(1, {"loss": 0.25, "val_top1": 0.75})
    checkpoint.update(path, history)
    loaded, found = checkpoint.load(path)
    assert (found.epochs, found.trained, found.unvalidated) == (2, 2, None)
    for weight, expected in zip(weights(loaded), weights(model), strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    if path.suffix == ".keras":
        names = zipfile.ZipFile(path).namelist()
        assert len(names) == len(set(names))


@pytest.mark.keras3_only
def test_history_of_an_earlier_version():
    assert History.from_text('[{"epoch": 0}]').rows == [{"epoch": 0}]


def test_a_damaged_one_does_not_become_the_best(path):
    for epoch in range(2):
        checkpoint.save(compiled_model(), path, History([{"epoch": e, "val_top1": 0.5 + e} for e in range(epoch + 1)]))
    cut_in_half(path)
    _, history = checkpoint.load_latest(path, log=lambda line: None)
    best = path.with_stem("best")
    callbacks.Record(history, path, best, path.with_name("history.csv")).write_followers()
    assert [checkpoint.load(each)[1].epochs for each in (path, best)] == [1, 1]


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    start = content.find(np.float32(0.123456).tobytes())
    content[start] ^= 1
    path.write_bytes(content)


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half, lambda path: path.write_bytes(b"")])
def test_damage_is_found(path, damage):
    model = compiled_model()
    model.set_weights([np.full_like(weight, 0.123456) for weight in model.get_weights()])
    checkpoint.save(model, path, History())
    damage(path)
    with pytest.raises(checkpoint.CheckpointError, match=r"cannot be read"):
        checkpoint.load(path)
    with pytest.raises(checkpoint.CheckpointError, match="--noresume"):
        checkpoint.load_latest(path, log=lambda line: None)


def test_no_checkpoint(path):
    assert checkpoint.load_latest(path) is None
    with pytest.raises(checkpoint.CheckpointError, match="there is no checkpoint"):
        checkpoint.load(path)


def test_full_disk_keeps_the_earlier_one(path):
    checkpoint.save(compiled_model(), path, History([{"epoch": 0}]))
    before = path.read_bytes()
    # Past this size the system refuses to write, as it does on a full disk.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = compiled_model(units=20_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(checkpoint.CheckpointError, match=r"cannot write .*earlier one is kept"):
            checkpoint.save(large, path, History([{"epoch": 0}, {"epoch": 1}]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_no_earlier_one_is_promised_where_there_is_none(path):
    (path.parent / "file").touch()
    with pytest.raises(checkpoint.CheckpointError, match=r"^cannot write the checkpoint (?!.*is kept)"):
        checkpoint.save(compiled_model(), path.parent / "file" / path.name, History([{"epoch": 0}]))


def test_another_network(path):
    checkpoint.save(compiled_model(), path, History())
    with pytest.raises(checkpoint.CheckpointError, match="does not fit the network"):
        checkpoint.restore(compiled_model(units=5), checkpoint.load(path)[0])
