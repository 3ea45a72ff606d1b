"""What a run prints, on a terminal and into a file: no line is glued to another, printed twice, or long in coming."""

import contextlib
import os
import pty
import re
from unittest import mock

import numpy as np
import pytest

from tfq import callbacks
from tfq.backend.keras import keras
from tfq.data import Batches
from tfq.training import lines


def once(test):
    """Marks what does not depend on the backend: it runs in the main environment alone."""
    return pytest.mark.keras3_only(pytest.mark.tensorflow_only(test))


class Clock:
    """Goes on by so many seconds each time it is read."""

    def __init__(self, step=0.0):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


@contextlib.contextmanager
def terminal():
    """A function that gives the lines that a terminal shows of what was printed since."""
    ours, theirs = pty.openpty()
    setting = mock.patch.dict(os.environ, {"TERM": "xterm", "COLUMNS": "60"})
    with setting, open(theirs, "w") as stream, contextlib.redirect_stdout(stream):
        yield lambda: shown(read(ours, stream))
    os.close(ours)


def read(ours, stream):
    print("<end>", file=stream, flush=True)
    text = ""
    while not text.endswith("<end>\r\n"):
        text += os.read(ours, 1 << 16).decode()
    return text.removesuffix("<end>\r\n")


def shown(text):
    """A terminal as far as it is needed: the carriage return, and the escape that clears the rest of the line."""
    screen = [""]
    column = 0
    for part in re.findall(r"\r|\n|\x1b\[K|[^\r\n\x1b]+", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            screen.append("")
            column = 0
        elif part == "\x1b[K":
            screen[-1] = screen[-1][:column]
        else:
            screen[-1] = screen[-1][:column] + part + screen[-1][column + len(part) :]
            column += len(part)
    return screen


@once
@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (16.2, "16 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (97190, "27 h"),
    ],
)
def test_times_are_said_plainly(seconds, text):
    assert lines.duration(seconds) == text


@once
def test_a_terminal_shows_one_bar_and_then_the_line_in_its_place():
    log = lines.Lines(Clock(step=1))
    with terminal() as seen:
        log("before")
        log.progress("half " + "x" * 80)
        assert seen() == ["before", "half " + "x" * 54]  # a longer one would stay
        log.progress("most")
        assert seen() == ["most"]
        log("all")
        assert seen() == ["all", ""]
        log.progress("next")
        log.clear()
        log.clear()
        assert seen() == [""]


@once
def test_a_bar_that_comes_too_soon_is_left_out():
    log = lines.Lines(Clock())
    with terminal() as seen:
        log.progress("at once")
        assert seen() == [""]


@once
@pytest.mark.parametrize("step", [0.5, 3, 9])
def test_a_file_has_a_line_a_minute(step, capsys):
    clock = Clock()
    log = lines.Lines(clock)
    log("0")
    while clock.now < 600:
        clock.now += step
        log.progress(str(clock.now))
    times = [float(line) for line in capsys.readouterr().out.splitlines()]
    gaps = np.diff([*times, clock.now])
    assert max(gaps) <= 60
    assert len(times) <= 13


def test_an_epoch_says_how_far_it_is_in_the_words_of_its_lines(capsys):
    """Where each batch takes a minute."""
    clock, log = Clock(), lines.Lines(Clock(step=60))
    images, labels = np.zeros((5, 2, 2, 1), np.uint8), np.zeros(5, np.int32)
    training, test = (Batches(images, labels, size, [0.0], [1.0]) for size in (2, 3))
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=[keras.metrics.SparseCategoricalAccuracy(name="top1")])

    class Minute(keras.callbacks.Callback):
        def on_batch_begin(self, batch, logs=None):
            clock.now += 60

    progress = callbacks.Progress(training, test, "Test", log.progress, clock)
    report = callbacks.Report(training, test, 1, "Test", log)
    model.fit(
        training,
        validation_data=test,
        verbose=0,
        shuffle=False,
        callbacks=[Minute(), callbacks.Speed(training), progress, report],
    )
    printed = capsys.readouterr().out.splitlines()
    heads = [re.match(r"(\w+): +0 \[ +(\d)/ +5 \( ?(\d+)%\)\] loss: +\d+\.\d+ \| top1: +\d+\.\d+%", line) for line in printed]
    assert [head.groups() for head in heads] == [
        *(("Train", "2", "40"), ("Train", "4", "80"), ("Train", "5", "100")),
        *(("Test", "3", "60"), ("Test", "5", "100"), ("Train", "5", "100"), ("Test", "5", "100")),
    ]
    assert printed[1].endswith("| 30 s to go")  # one image more, of two a minute
