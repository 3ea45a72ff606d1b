"""SIGTERM stops a run between two steps, and the next start goes on there: in process, tiny; and once as a command."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from absl.testing import flagsaver
from conftest import ROOT
from running import BACKEND, arrays
from test_resume import TIMELESS, build, data

import train
from tfq.backend.keras import keras
from tfq.cli import fitting, program
from tfq.distribute.sigterm import Preempted, Sigterm
from tfq.terminal import STOPPED
from tfq.training import checkpoint
from tfq.training.rest import Rest
from tfq.training.run_directory import RunDirectory

# Three steps an epoch.
FLAGS = (
    *("--epochs=2", "--batch_size=8", "--optimizer=adam", "--lr=0.1"),
    *("--dataset=npz", "--data_dir=first.npz", "--deterministic"),
)


class Terminate(keras.callbacks.Callback):
    """Sends SIGTERM to this process when a step of an epoch, or of its validation, ends."""

    def __init__(self, epoch, step, in_test=False):
        super().__init__()
        self.at, self.in_test = (epoch, step), in_test

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.send(batch, False)

    def on_test_batch_end(self, batch, logs=None):
        self.send(batch, True)

    def send(self, batch, in_test):
        if (self.epoch, batch, in_test) == (*self.at, self.in_test):
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def run(monkeypatch):
    """The function that trains in a directory, and stops where a `Terminate` says so."""
    monkeypatch.setattr(program.plot, "curves", lambda *_: None)

    def runs(path, terminate=None):
        monkeypatch.setattr(fitting, "tensorboard", lambda *_: [terminate] if terminate else [])
        with flagsaver.flagsaver():
            train.FLAGS.unparse_flags()
            train.FLAGS(["train.py", *FLAGS])
            keras.utils.set_random_seed(0)
            program.train(train.config(), BACKEND, RunDirectory(path), data(), build)

    return runs


def test_a_run_goes_on_behind_the_step_it_was_stopped_after(run, tmp_path, capsys):
    whole, stopped = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "stopped")
    run(whole.path)
    # Within an epoch; in its last step, behind which its checkpoint comes; within the second one.
    for terminate, where in (
        (Terminate(0, 1), "in epoch 0, after step 2"),
        (Terminate(0, 0), "in the validation of epoch 0"),
        (Terminate(1, 0), "in epoch 1, after step 1"),
    ):
        with pytest.raises(Preempted, match=where):
            run(stopped.path, terminate)
        checkpoint.load(stopped.last)
    assert "Going on after step 2 of epoch 0" in capsys.readouterr().out
    run(stopped.path)
    for name in ("last", "best"):
        expected, found = (arrays(getattr(directory, name)) for directory in (whole, stopped))
        assert expected.keys() == found.keys()
        for key, array in expected.items():
            np.testing.assert_array_equal(array, found[key], err_msg=f"{name} {key}")
    rows = [[[row[name] for name in TIMELESS] for row in checkpoint.load(each.last)[1].rows] for each in (whole, stopped)]
    assert rows[0] == rows[1]
    assert checkpoint.read_within(stopped.last) == {}


def test_a_signal_is_noted_inside_of_the_context_alone():
    before = signal.getsignal(signal.SIGTERM)
    with Sigterm() as sigterm:
        assert not sigterm.is_received
        os.kill(os.getpid(), signal.SIGTERM)
        assert sigterm.is_received
    assert signal.getsignal(signal.SIGTERM) is before


def test_train_ends_with_the_status_of_what_may_be_tried_again(monkeypatch, tmp_path, capsys):
    def preempted(*_):
        raise Preempted("stopped by SIGTERM in epoch 0, after step 1")

    monkeypatch.setattr(program, "run", preempted)
    with flagsaver.flagsaver():
        train.FLAGS.unparse_flags()
        argv = train.parse(["train.py", f"--run_dir={tmp_path}", f"--backend={BACKEND}", *FLAGS])
        with pytest.raises(SystemExit) as end:
            train.main(argv)
    assert end.value.code == STOPPED == 75
    assert "after step 1; the same command goes on" in capsys.readouterr().err


def test_the_rest_of_an_epoch_is_its_last_batches():
    dataset = data()
    batches = program.data.Batches(dataset.x_train, dataset.y_train, 10, dataset.mean, dataset.std, shuffle=True, crop=True)
    rest = Rest(batches, 1)
    assert (len(rest), rest.num_images, rest.seen(0), rest.seen(1)) == (2, 14, 10, 14)
    rest.set_epoch(3)
    np.testing.assert_array_equal(rest[1][0], batches[2][0])
    assert batches.epoch == rest.epoch == 3
    with pytest.raises(IndexError, match="only 0 to 1"):
        rest[2]


@pytest.mark.parametrize(("flags", "status"), [(("--helpshort",), 1), (("--lr=x",), 2)])
def test_a_signal_behind_the_end_leaves_the_status(flags, status, tmp_path):
    """Flags end the process before it imports a backend. SIGTERM comes when Python runs what is registered for its end."""
    late = "import atexit, os, signal, sys, train; atexit.register(os.kill, os.getpid(), signal.SIGTERM); train.command()"
    ended = subprocess.run([sys.executable, "-c", late, *flags], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == status, ended.stderr
