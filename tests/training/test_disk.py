"""A disk that is full, turns read-only, or damages a file: no good checkpoint is lost, and a line says what happened."""

import contextlib
import errno
import os
import subprocess

import numpy as np
import pytest
from absl.testing import flagsaver
from running import arrays
from test_resume import TIMELESS, data, trained

import train
from tfq.backend.keras import keras
from tfq.cli import fitting, program
from tfq.training import checkpoint
from tfq.training.run_directory import RunDirectory, RunDirectoryError

FLAGS = ("--epochs=3", "--batch_size=8", "--optimizer=sgd", "--lr=0.1", "--dataset=npz", "--data_dir=x", "--deterministic")


def mount(path, *options):
    return subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tfq", path], capture_output=True, check=False
    ).returncode


@pytest.fixture
def disk(tmp_path):
    """A folder that is a disk of 2 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() or mount(path, "size=2m"):
        pytest.skip("mounting is not allowed here")
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk):
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def free(disk):
    (disk / "filler").unlink(missing_ok=True)


def turn_read_only(disk):
    assert not mount(disk, "remount", "ro")


def turn_writable(disk):
    assert not mount(disk, "remount", "rw")


class At(keras.callbacks.Callback):
    """Does something to the disk at a moment of the second epoch, or at the end."""

    def __init__(self, moment, act):
        super().__init__()
        self.moment, self.act = moment, act

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self._come("training")

    def on_test_batch_end(self, batch, logs=None):
        self._come("validation")

    def on_train_end(self, logs=None):
        self.epoch = 1
        self._come("end")

    def _come(self, moment):
        if (moment, self.epoch) == (self.moment, 1):
            self.moment = None
            self.act()


@pytest.fixture
def run(monkeypatch):
    """The function that trains in a directory, with a callback beside TensorBoard, or in its place."""
    board = fitting.tensorboard

    def runs(directory, callback=None, with_board=True):
        def made(*given):
            return [*(board(*given) if with_board else []), *([callback] if callback else [])]

        monkeypatch.setattr(fitting, "tensorboard", made)
        with flagsaver.flagsaver():
            train.FLAGS.unparse_flags()
            train.FLAGS(["train.py", *FLAGS])
            return trained(train.config(), directory, data())

    return runs


def assert_same(first, second):
    for name in ("last", "best"):
        expected, found = (arrays(getattr(directory, name)) for directory in (first, second))
        assert expected.keys() == found.keys()
        for key, array in expected.items():
            np.testing.assert_array_equal(array, found[key], err_msg=f"{name} {key}")
    rows = [[[row[name] for name in TIMELESS] for row in checkpoint.load(each.last)[1].rows] for each in (first, second)]
    assert rows[0] == rows[1]
    assert len(second.history.read_text().splitlines()) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "mend", "said"), [(fill, free, "No space left"), (turn_read_only, turn_writable, "Read-only")])
@pytest.mark.parametrize("moment", ["start", "training", "validation", "end"])
def test_a_run_goes_on_when_its_disk_can_be_written_again(spoil, mend, said, moment, disk, run, tmp_path):
    whole, spoilt = run(RunDirectory(tmp_path / "whole")), RunDirectory(disk / "run")
    if moment == "start":
        spoil(disk)
    with pytest.raises(program.ERRORS, match=said) as caught:
        # A file that is open to be written keeps a disk from turning read-only.
        run(spoilt, At(moment, lambda: spoil(disk)), with_board=spoil is fill)
    assert "\n" not in str(caught.value)
    assert ("is kept" in str(caught.value)) == (moment != "start")
    assert str(spoilt.path) in str(caught.value)
    mend(disk)
    if moment != "start":
        kept = {"training": 1, "validation": 2, "end": 3}[moment]
        assert checkpoint.load(spoilt.last)[1].trained == kept
    run(spoilt)
    assert_same(whole, spoilt)
    assert not [*spoilt.path.glob(".writing-*")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_checkpoint_is_named_where_there_is_one(number, tmp_path):
    directory = RunDirectory(tmp_path)

    def line():
        with pytest.raises(program.TrainingStopped) as caught, program._on_disk(directory):
            raise OSError(number, os.strerror(number), "there")
        return str(caught.value)

    said = f"cannot read or write there: {os.strerror(number)}"
    assert line() == f"{said}; once that is mended, the same command starts again"
    directory.last.touch()
    assert line() == f"{said}; the last checkpoint is kept, and the same command goes on from it"


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cut, flip])
def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before(damage, run, tmp_path, capsys):
    whole, damaged = run(RunDirectory(tmp_path / "whole")), RunDirectory(tmp_path / "damaged")

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(damaged, At("validation", stop))
    damage(damaged.last)
    capsys.readouterr()
    run(damaged)
    output = capsys.readouterr().out
    assert f"WARNING: the checkpoint {damaged.last} cannot be read" in output
    assert "Going on after epoch 0" in output
    assert_same(whole, damaged)


@pytest.mark.slow
def test_a_bit_that_flips_anywhere_is_found_or_changes_nothing(run, tmp_path):
    directory = run(RunDirectory(tmp_path))
    content, (model, history) = directory.last.read_bytes(), checkpoint.load(directory.last)
    found = 0
    for bit in np.random.default_rng(0).integers(0, 8 * len(content), 60):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        directory.last.write_bytes(damaged)
        try:
            other, its_history = checkpoint.load(directory.last)
        except checkpoint.CheckpointError:
            found += 1
            continue
        for first, second in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(first, second)
        assert its_history.text() == history.text()
    assert found > 40


@pytest.mark.slow
def test_a_directory_that_is_read_only_is_refused_before_anything_is_computed(disk):
    turn_read_only(disk)
    with pytest.raises(RunDirectoryError, match=r"cannot write to --run_dir=.*Read-only"):
        RunDirectory(disk / "run").open()
